# Form: hand-written attention, an optional scaler tested in correlated branches.
import math

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import DataLoader, TensorDataset


class SelfAttention(nn.Module):
    def __init__(self, dim=32):
        super().__init__()
        self.query, self.key, self.value = nn.Linear(dim, dim), nn.Linear(dim, dim), nn.Linear(dim, dim)
        self.dim = dim

    def forward(self, x):
        q, k, v = self.query(x), self.key(x), self.value(x)
        scores = q @ k.transpose(-2, -1) / math.sqrt(self.dim)
        return F.softmax(scores, dim=-1) @ v


class Classifier(nn.Module):
    def __init__(self, classes=4):
        super().__init__()
        self.attention = SelfAttention()
        self.norm = nn.LayerNorm(32)
        self.fc = nn.Linear(32, classes)

    def forward(self, x):
        x = self.norm(x + self.attention(x))
        return self.fc(x.mean(dim=1))


def train(model, loader, optimizer, scaler=None, clip=None):
    model.train()
    for x, y in loader:
        with torch.autocast(x.device.type, enabled=scaler is not None):
            loss = F.cross_entropy(model(x), y)
        optimizer.zero_grad()
        if scaler is not None:
            scaler.scale(loss).backward()
            if clip is not None:
                scaler.unscale_(optimizer)
                nn.utils.clip_grad_norm_(model.parameters(), clip)
            scaler.step(optimizer)
            scaler.update()
        else:
            loss.backward()
            if clip is not None:
                nn.utils.clip_grad_norm_(model.parameters(), clip)
            optimizer.step()


def main():
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = Classifier().to(device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-4)
    scaler = torch.amp.GradScaler(device) if device == "cuda" else None
    data = TensorDataset(torch.randn(160, 6, 32, device=device), torch.randint(0, 4, (160,), device=device))
    loader = DataLoader(data, batch_size=16, shuffle=True)
    for _ in range(2):
        train(model, loader, optimizer, scaler=scaler, clip=1.0)


if __name__ == "__main__":
    main()
