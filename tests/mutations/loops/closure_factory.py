# Form: a factory returns the train step as a closure over model, loss and optimizer.
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


def make_train_step(model, loss_fn, optimizer):
    def train_step(x, y):
        model.train()
        yhat = model(x)
        loss = loss_fn(yhat, y)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return loss.item()

    return train_step


def make_val_step(model, loss_fn):
    def val_step(x, y):
        model.eval()
        with torch.no_grad():
            return loss_fn(model(x), y).item()

    return val_step


if __name__ == "__main__":
    x = torch.rand(400, 1)
    y = 1 + 2 * x + 0.1 * torch.randn(400, 1)
    train_loader = DataLoader(TensorDataset(x[:300], y[:300]), batch_size=16, shuffle=True)
    val_loader = DataLoader(TensorDataset(x[300:], y[300:]), batch_size=20)
    model = nn.Linear(1, 1)
    loss_fn = nn.MSELoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    train_step = make_train_step(model, loss_fn, optimizer)
    val_step = make_val_step(model, loss_fn)
    for epoch in range(10):
        train_loss = [train_step(xb, yb) for xb, yb in train_loader]
        val_loss = [val_step(xb, yb) for xb, yb in val_loader]
        print(epoch, sum(train_loss) / len(train_loss), sum(val_loss) / len(val_loss))
