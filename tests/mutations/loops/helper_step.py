# Form: one helper takes loss, optimizer and parameters and does all the updating.
import torch
import torch.nn as nn
from torch.nn.utils import clip_grad_norm_
from torch.utils.data import DataLoader, TensorDataset


class Tagger(nn.Module):
    def __init__(self, vocab=50, tags=7):
        super().__init__()
        self.embed = nn.Embedding(vocab, 16)
        self.lstm = nn.LSTM(16, 32, batch_first=True, bidirectional=True)
        self.out = nn.Linear(64, tags)

    def forward(self, tokens):
        hidden, _ = self.lstm(self.embed(tokens))
        return self.out(hidden)


def step(loss, opt, params, max_norm):
    opt.zero_grad()
    loss.backward()
    clip_grad_norm_(params, max_norm)
    opt.step()
    return loss.item()


def main():
    tokens, tags = torch.randint(0, 50, (128, 12)), torch.randint(0, 7, (128, 12))
    loader = DataLoader(TensorDataset(tokens, tags), batch_size=16, shuffle=True)
    tagger = Tagger()
    params = list(tagger.parameters())
    opt = torch.optim.Adam(params, lr=1e-3)
    criterion = nn.CrossEntropyLoss()
    for epoch in range(3):
        total = 0.0
        for words, gold in loader:
            scores = tagger(words)
            total += step(criterion(scores.flatten(0, 1), gold.flatten()), opt, params, 5.0)
        print(epoch, total / len(loader))


main()
