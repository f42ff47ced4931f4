# Form: two encoders, one optimizer over both, a symmetric contrastive loss with a learned temperature.
import itertools
import math

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import DataLoader, TensorDataset


class Tower(nn.Module):
    def __init__(self, inputs, width=64):
        super().__init__()
        self.fc1 = nn.Linear(inputs, width)
        self.fc2 = nn.Linear(width, width)

    def forward(self, x):
        return F.normalize(self.fc2(F.relu(self.fc1(x))), dim=-1)


class Temperature(nn.Module):
    def __init__(self):
        super().__init__()
        self.log_scale = nn.Parameter(torch.tensor(math.log(10.0)))

    def forward(self, similarity):
        return similarity * self.log_scale.exp()


image_tower, text_tower, temperature = Tower(48), Tower(20), Temperature()
params = itertools.chain(image_tower.parameters(), text_tower.parameters(), temperature.parameters())
optimizer = torch.optim.AdamW(params, lr=5e-4)
pairs = DataLoader(TensorDataset(torch.randn(256, 48), torch.randn(256, 20)), batch_size=64, shuffle=True)

for epoch in range(3):
    for images, texts in pairs:
        logits = temperature(image_tower(images) @ text_tower(texts).t())
        labels = torch.arange(len(images))
        loss = (F.cross_entropy(logits, labels) + F.cross_entropy(logits.t(), labels)) / 2
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    print(epoch, loss.item())
