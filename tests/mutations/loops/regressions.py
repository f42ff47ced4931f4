# Form: rows of targets and columns of predictions made equal in different ways; several heads in one loss.
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import DataLoader, Dataset, TensorDataset


class Table(Dataset):
    def __init__(self, rows=300):
        self.x = torch.rand(rows, 4)
        self.price = self.x.sum(dim=1, keepdim=True)
        self.age = self.x[:, 0]

    def __len__(self):
        return len(self.x)

    def __getitem__(self, index):
        return self.x[index], self.price[index], self.age[index]


class Head(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 1))

    def forward(self, x):
        return self.net(x).squeeze(1)


price, age, rest = nn.Linear(4, 1), Head(), Head()
criterion = nn.SmoothL1Loss()
optimizer = torch.optim.Adam([*price.parameters(), *age.parameters(), *rest.parameters()], lr=1e-3)
for x, total, years in DataLoader(Table(), batch_size=30, shuffle=True):
    optimizer.zero_grad()
    loss = criterion(price(x), total) + F.l1_loss(age(x), years) + ((rest(x) - years) ** 2).mean()
    loss.backward()
    optimizer.step()

signal = torch.linspace(0, 6, 200)
wave = TensorDataset(signal.unsqueeze(1), signal.sin())
curve = nn.Sequential(nn.Linear(1, 32), nn.Tanh(), nn.Linear(32, 1))
tuner = torch.optim.Adam(curve.parameters(), lr=1e-2)
for t, level in DataLoader(wave, batch_size=20, shuffle=True):
    error = F.huber_loss(curve(t).squeeze(-1), level)
    tuner.zero_grad()
    error.backward()
    tuner.step()
