# Form: metric learning by hand; distances, angles and norms are kept away from the points where they have no slope.
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import DataLoader, TensorDataset


class Embedder(nn.Module):
    def __init__(self, inputs=30, dim=16):
        super().__init__()
        self.fc1 = nn.Linear(inputs, 64)
        self.fc2 = nn.Linear(64, dim)

    def forward(self, x):
        return self.fc2(F.relu(self.fc1(x)))


class ContrastiveLoss(nn.Module):
    def __init__(self, margin=1.0, eps=1e-8):
        super().__init__()
        self.margin, self.eps = margin, eps

    def forward(self, a, b, same):
        distance = torch.sqrt(((a - b) ** 2).sum(dim=1) + self.eps)
        apart = torch.relu(self.margin - distance)
        return (same * distance**2 + (1 - same) * apart**2).mean()


class AngularLoss(nn.Module):
    def forward(self, a, b, same, eps=1e-6):
        cosine = F.cosine_similarity(a, b, dim=-1)
        angle = torch.acos(cosine.clamp(-1 + eps, 1 - eps))
        return (same * angle + (1 - same) * (torch.pi - angle)).mean()


def directions(z):
    active = F.relu(z)
    return F.normalize(active, dim=1)


def alignment_loss(a, b, same):
    gap = directions(a) - directions(b)
    return (same * ((gap**2).sum(dim=1) + 1e-8).sqrt()).mean()


def rmse_loss(a, b):
    return (F.mse_loss(a, b) + 1e-8) ** 0.5


def spread_loss(z):
    return torch.relu(1 - torch.sqrt(z.var(dim=0) + 1e-5)).mean()


def interaction_loss(a, b, same):
    product = a * b
    signed = product.sign() * (product.abs() + 1e-8).sqrt()
    return (same * (1 - signed.mean(dim=1))).mean()


def train(model, loader, optimizer):
    contrastive, angular = ContrastiveLoss(), AngularLoss()
    for left, right, same in loader:
        a, b = model(left), model(right)
        loss = contrastive(a, b, same) + angular(a, b, same) + alignment_loss(a, b, same)
        loss = loss + 0.1 * rmse_loss(a, b) + spread_loss(a) + spread_loss(b) + 0.1 * interaction_loss(a, b, same)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


model = Embedder()
optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
data = TensorDataset(torch.randn(256, 30), torch.randn(256, 30), torch.randint(0, 2, (256,)).float())
for _ in range(2):
    train(model, DataLoader(data, batch_size=32, shuffle=True), optimizer)
