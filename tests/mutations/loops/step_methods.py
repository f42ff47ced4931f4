# Form: the loop is split over methods training_step, backward and optimizer_step.
import torch
import torch.nn as nn
from torch.utils.data import DataLoader, TensorDataset


class Trainer:
    def __init__(self, model, optimizer, loader, criterion):
        self.model, self.optimizer, self.loader, self.criterion = model, optimizer, loader, criterion
        self.global_step = 0

    def training_step(self, batch):
        features, targets = batch
        return self.criterion(self.model(features), targets)

    def optimizer_zero_grad(self):
        self.optimizer.zero_grad()

    def backward(self, loss):
        loss.backward()

    def optimizer_step(self):
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.global_step += 1

    def run(self, epochs):
        for self.epoch in range(epochs):
            self.model.train()
            for batch in self.loader:
                loss = self.training_step(batch)
                self.optimizer_zero_grad()
                self.backward(loss)
                self.optimizer_step()
            print(self.epoch, self.global_step, loss.item())


def main():
    model = nn.Sequential(nn.Linear(7, 28), nn.Softplus(), nn.Linear(28, 1))
    x = torch.randn(280, 7)
    loader = DataLoader(TensorDataset(x, x.mean(1, keepdim=True)), batch_size=28, shuffle=True)
    optimizer = torch.optim.NAdam(model.parameters(), lr=2e-3)
    Trainer(model, optimizer, loader, nn.MSELoss()).run(3)


if __name__ == "__main__":
    main()
