# Form: softmaxes and sums of exponentials that normalise scores over slots; the head is a plain classifier.
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import DataLoader, TensorDataset


def masked_softmax(scores, mask):
    shifted = scores - scores.max(dim=1, keepdim=True).values
    weights = torch.exp(shifted) * mask
    return weights / weights.sum(dim=1, keepdim=True)


class SlotPool(nn.Module):
    def __init__(self, dim=20):
        super().__init__()
        self.score = nn.Linear(dim, 1)
        self.gate = nn.Linear(dim, dim)

    def forward(self, slots, mask):
        weights = masked_softmax(self.score(slots).squeeze(-1), mask)
        shares = F.softmax(self.gate(slots), dim=1)
        return (weights.unsqueeze(-1) * slots * shares).sum(dim=1)


class Mixture(nn.Module):
    def __init__(self, dim=20, classes=4, experts=3):
        super().__init__()
        self.pool = SlotPool(dim)
        self.route = nn.Linear(dim, experts)
        self.experts = nn.ModuleList([nn.Linear(dim, classes) for _ in range(experts)])

    def forward(self, slots, mask):
        pooled = self.pool(slots, mask)
        routes = F.softmax(self.route(pooled), dim=-1)
        votes = torch.stack([expert(pooled) for expert in self.experts], dim=1)
        return (routes.unsqueeze(-1) * votes).sum(dim=1)


def smooth_maximum(scores):
    top = scores.amax(dim=1, keepdim=True)
    return torch.log(torch.exp(scores - top).sum(dim=1)) + top.squeeze(1)


def energy_margin(logits, noise_logits):
    return torch.relu(1 - smooth_maximum(logits) + torch.logsumexp(noise_logits, dim=1)).mean()


model = Mixture()
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=1e-2)
criterion = nn.CrossEntropyLoss()
data = TensorDataset(torch.randn(256, 7, 20), torch.randint(0, 4, (256,)))
for epoch in range(2):
    for slots, label in DataLoader(data, batch_size=32, shuffle=True):
        mask = (slots.abs().sum(dim=-1) > 0.1).float()
        logits = model(slots, mask)
        noise_logits = model(torch.randn_like(slots), mask)
        loss = criterion(logits, label) + 0.1 * energy_margin(logits, noise_logits)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    print(epoch, loss.item())
