# Form: the encoder is frozen, only the head's parameters are optimised, weights shared by a snapshot of the best epoch.
import copy

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


class Encoder(nn.Module):
    def __init__(self):
        nn.Module.__init__(self)
        self.body = nn.Sequential(nn.Linear(30, 60), nn.ReLU())

    def forward(self, x):
        return self.body(x)


encoder, head = Encoder(), nn.Linear(60, 4)
for parameter in encoder.parameters():
    parameter.requires_grad = False
encoder.eval()
optimizer = torch.optim.SGD(head.parameters(), lr=0.1)
criterion = nn.CrossEntropyLoss()
x, y = torch.randn(400, 30), torch.randint(0, 4, (400,))
loader = DataLoader(TensorDataset(x[:300], y[:300]), batch_size=30, shuffle=True)

best_loss, best_state = float("inf"), None
for epoch in range(5):
    for data, label in loader:
        with torch.no_grad():
            features = encoder(data)
        logits = head(features)
        loss = criterion(logits, label)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        val_loss = criterion(head(encoder(x[300:])), y[300:]).item()
    if val_loss < best_loss:
        best_loss, best_state = val_loss, copy.deepcopy(head.state_dict())
head.load_state_dict(best_state)
