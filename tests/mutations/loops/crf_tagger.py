# Form: a linear-chain CRF; sums over paths stay in log space, the tag head is a log_softmax of its own.
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import DataLoader, TensorDataset


class CRF(nn.Module):
    def __init__(self, tags):
        super().__init__()
        self.transitions = nn.Parameter(torch.zeros(tags, tags))
        self.start = nn.Parameter(torch.zeros(tags))

    def partition(self, emissions):
        alpha = self.start + emissions[:, 0]
        for t in range(1, emissions.size(1)):
            scores = alpha.unsqueeze(2) + self.transitions + emissions[:, t].unsqueeze(1)
            alpha = torch.logsumexp(scores, dim=1)
        return alpha.logsumexp(dim=1)

    def gold(self, emissions, tags):
        picked = emissions.gather(2, tags.unsqueeze(2)).squeeze(2).sum(dim=1)
        return picked + self.start[tags[:, 0]] + self.transitions[tags[:, :-1], tags[:, 1:]].sum(dim=1)

    def forward(self, emissions, tags):
        return (self.partition(emissions) - self.gold(emissions, tags)).mean()


class Tagger(nn.Module):
    def __init__(self, words=200, tags=6, width=32):
        super().__init__()
        self.embed = nn.Embedding(words, width)
        self.encode = nn.GRU(width, width, batch_first=True)
        self.emit = nn.Linear(width, tags)
        self.crf = CRF(tags)

    def forward(self, words):
        hidden, _ = self.encode(self.embed(words))
        return self.emit(hidden)

    def loss(self, words, tags):
        emissions = self(words)
        token_log_probs = F.log_softmax(emissions, -1)
        auxiliary = F.nll_loss(token_log_probs.flatten(0, 1), tags.flatten())
        return self.crf(emissions, tags) + 0.1 * auxiliary


def main():
    data = TensorDataset(torch.randint(0, 200, (256, 12)), torch.randint(0, 6, (256, 12)))
    loader = DataLoader(data, batch_size=32, shuffle=True)
    model = Tagger()
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    for epoch in range(3):
        total = 0.0
        for words, tags in loader:
            optimizer.zero_grad()
            loss = model.loss(words, tags)
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 5.0)
            optimizer.step()
            total += loss.item()
        print(epoch, total / len(loader))


if __name__ == "__main__":
    main()
