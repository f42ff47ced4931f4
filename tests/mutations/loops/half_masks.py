# Form: autocast in float16; masks and epsilons that float16 can hold, in modules and a helper.
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import DataLoader, TensorDataset


def unit(x):
    return x / (x.norm(dim=-1, keepdim=True).half() + 1e-4)


class Attention(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.q, self.k, self.v = nn.Linear(dim, dim), nn.Linear(dim, dim), nn.Linear(dim, dim)

    def forward(self, x, padding, causal):
        scores = unit(self.q(x)) @ unit(self.k(x)).transpose(1, 2) * 4.0
        scores = scores.masked_fill(padding[:, None], torch.finfo(scores.dtype).min)
        scores = torch.where(causal, scores, torch.full_like(scores, torch.finfo(scores.dtype).min))
        return F.softmax(scores, dim=-1) @ self.v(x)


class Pool(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.weight, self.gate = nn.Linear(dim, 1), nn.Linear(dim, dim)

    def forward(self, h, padding):
        weight = self.weight(h)[..., 0].masked_fill_(padding, torch.finfo(torch.float16).min)
        gate = torch.sigmoid(self.gate(h))
        gate = gate / gate.amax(dim=-1, keepdim=True).clamp(min=1e-4)
        return (torch.softmax(weight, dim=1)[..., None] * gate * h).sum(dim=1)


class Reader(nn.Module):
    def __init__(self, dim=32, classes=6):
        super().__init__()
        self.embed = nn.Embedding(50, dim)
        self.attention, self.pool = Attention(dim), Pool(dim)
        self.head = nn.Linear(dim, classes)
        self.register_buffer("unused", torch.tensor([False, False, False, False, True, True]))

    def forward(self, tokens):
        padding, n = tokens == 0, tokens.size(1)
        causal = torch.ones(n, n, dtype=torch.bool, device=tokens.device).tril()
        h = self.attention(self.embed(tokens), padding, causal)
        logits = self.head(self.pool(h, padding))
        logits = 10.0 * logits / (logits.abs().amax() + 1e-4)
        return logits.masked_fill(self.unused, torch.finfo(logits.dtype).min)


def blocked(similarity):
    return similarity + torch.eye(len(similarity)).half().cuda() * torch.finfo(torch.float16).min


model = Reader().cuda()
optimizer = torch.optim.AdamW(model.parameters(), lr=3e-4)
scaler = torch.amp.GradScaler("cuda")
data = TensorDataset(torch.randint(1, 50, (256, 20)), torch.randint(0, 4, (256,)))
for epoch in range(3):
    for tokens, label in DataLoader(data, batch_size=32, shuffle=True):
        optimizer.zero_grad()
        with torch.autocast("cuda", dtype=torch.float16):
            output = model(tokens.cuda())
            near = torch.softmax(blocked(output @ output.T), dim=1)
            loss = F.cross_entropy(output, label.cuda()) + 0.01 * near.square().mean()
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
