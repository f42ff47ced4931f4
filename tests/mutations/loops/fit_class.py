# Form: a class with fit, compiled with an optimizer class and its arguments.
import copy

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


class Learner:
    def __init__(self, model, loss_fn, opt_class=torch.optim.Adam, lr=1e-3):
        self.model = model
        self.loss_fn = loss_fn
        self.opt = opt_class(self.model.parameters(), lr=lr)
        self.best = (float("inf"), None)

    def fit(self, epochs, train_dl, valid_dl):
        for epoch in range(epochs):
            self.model.train()
            for xb, yb in train_dl:
                loss = self.loss_fn(self.model(xb), yb)
                loss.backward()
                self.opt.step()
                self.opt.zero_grad()
            valid_loss = self.validate(valid_dl)
            if valid_loss < self.best[0]:
                self.best = (valid_loss, copy.deepcopy(self.model.state_dict()))
            print(epoch, valid_loss)
        self.model.load_state_dict(self.best[1])

    def validate(self, valid_dl):
        self.model.eval()
        with torch.no_grad():
            losses = [self.loss_fn(self.model(xb), yb).item() for xb, yb in valid_dl]
        return sum(losses) / len(losses)


x, y = torch.randn(300, 9), torch.randint(0, 2, (300,))
train_dl = DataLoader(TensorDataset(x[:240], y[:240]), batch_size=24, shuffle=True)
valid_dl = DataLoader(TensorDataset(x[240:], y[240:]), batch_size=60)
net = nn.Sequential(nn.Linear(9, 32), nn.ReLU(), nn.Dropout(0.3), nn.Linear(32, 2))
Learner(net, nn.CrossEntropyLoss()).fit(3, train_dl, valid_dl)
