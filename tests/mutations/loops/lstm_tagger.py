# Form: a bidirectional LSTM tags every word, slices of one long table are the batches.
import torch
from torch import nn


class Tagger(nn.Module):
    def __init__(self, words=200, tags=7, dim=32):
        super().__init__()
        self.embed = nn.Embedding(words, dim)
        self.lstm = nn.LSTM(dim, dim, bidirectional=True)
        self.out = nn.Linear(2 * dim, tags)

    def forward(self, ids):
        states, _ = self.lstm(self.embed(ids))
        return self.out(states)


length, size = 96, 16
words, tags = torch.randint(0, 200, (length, 320)), torch.randint(0, 7, (length, 320))
tagger = Tagger()
optimizer = torch.optim.Adam(tagger.parameters(), lr=2e-3)
criterion = nn.CrossEntropyLoss()

for epoch in range(3):
    for start in range(0, 320, size):
        optimizer.zero_grad(set_to_none=True)
        scores = tagger(words[:, start : start + size])
        loss = criterion(scores.flatten(0, 1), tags[:, start : start + size].flatten())
        loss.backward()
        nn.utils.clip_grad_norm_(tagger.parameters(), max_norm=0.5)
        optimizer.step()
    print(epoch, loss.item())
