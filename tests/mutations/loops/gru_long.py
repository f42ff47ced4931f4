# Form: a GRU over windows of a known length, its last state predicts the next value.
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

STEPS, FEATURES = 120, 6


class Forecaster(nn.Module):
    def __init__(self, hidden=48):
        super().__init__()
        self.rnn = nn.GRU(FEATURES, hidden, batch_first=True)
        self.head = nn.Linear(hidden, 1)

    def forward(self, window):
        _, last = self.rnn(window)
        return self.head(last[-1]).squeeze(-1)


def fit(model, loader, epochs):
    optimizer = torch.optim.RMSprop(model.parameters(), lr=1e-3)
    for epoch in range(epochs):
        for window, target in loader:
            prediction = model(window)
            loss = F.smooth_l1_loss(prediction, target)
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
        print(epoch, loss.item())


series = torch.randn(400, STEPS, FEATURES)
loader = DataLoader(TensorDataset(series, torch.randn(400)), batch_size=40, shuffle=True)
fit(Forecaster(), loader, epochs=2)
