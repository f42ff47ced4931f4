# Form: p.grad = None for each parameter instead of zero_grad.
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


def fit(model, loader, epochs, lr):
    opt = torch.optim.RMSprop(model.parameters(), lr=lr)
    loss_fn = nn.SmoothL1Loss()
    for epoch in range(epochs):
        for x, y in loader:
            for p in model.parameters():
                p.grad = None
            loss = loss_fn(model(x).squeeze(1), y)
            loss.backward()
            opt.step()
        print(epoch, loss.item())


if __name__ == "__main__":
    x = torch.randn(200, 5)
    loader = DataLoader(TensorDataset(x, x[:, 0] - x[:, 1]), batch_size=20, shuffle=True)
    net = nn.Sequential(nn.Linear(5, 20), nn.Tanh(), nn.Linear(20, 1))
    fit(net, loader, epochs=3, lr=1e-3)
