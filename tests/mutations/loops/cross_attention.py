# Form: self- and cross-attention written out, a decoder learns from an encoder it trains with.
import math

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


class Attention(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.dim = dim
        self.query = nn.Linear(dim, dim)
        self.key = nn.Linear(dim, dim)
        self.value = nn.Linear(dim, dim)

    def forward(self, x, memory):
        q, k, v = self.query(x), self.key(memory), self.value(memory)
        scores = torch.matmul(q, k.transpose(-2, -1)) / math.sqrt(self.dim)
        return torch.matmul(F.softmax(scores, dim=-1), v)


class Pooling(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.dim = dim
        self.seed = nn.Parameter(torch.randn(1, 1, dim))
        self.key = nn.Linear(dim, dim)

    def forward(self, x):
        weight = torch.softmax(self.seed @ self.key(x).mT / math.sqrt(self.dim), dim=-1)
        return (weight @ x).squeeze(1)


class Reader(nn.Module):
    def __init__(self, vocab=50, dim=32, classes=4):
        super().__init__()
        self.embed = nn.Embedding(vocab, dim)
        self.own = Attention(dim)
        self.cross = Attention(dim)
        self.norm = nn.LayerNorm(dim)
        self.pool = Pooling(dim)
        self.head = nn.Linear(dim, classes)

    def forward(self, question, text):
        q, t = self.embed(question), self.embed(text)
        q = q + self.own(q, q)
        q = self.norm(q + self.cross(q, t))
        return self.head(self.pool(q))


model = Reader()
optimizer = torch.optim.AdamW(model.parameters(), lr=5e-4)
questions, texts = torch.randint(0, 50, (320, 8)), torch.randint(0, 50, (320, 24))
loader = DataLoader(TensorDataset(questions, texts, torch.randint(0, 4, (320,))), batch_size=32, shuffle=True)
for epoch in range(2):
    for question, text, answer in loader:
        scores = model(question, text)
        loss = F.cross_entropy(scores, answer)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    print(epoch, loss.item())
