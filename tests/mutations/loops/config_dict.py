# Form: a dict of settings chooses optimizer and schedule by name.
import torch
import torch.nn as nn
from torch.utils.data import DataLoader, TensorDataset

CONFIG = {
    "optimizer": {"name": "SGD", "params": {"lr": 0.05, "momentum": 0.9, "weight_decay": 1e-4}},
    "scheduler": {"name": "StepLR", "params": {"step_size": 2, "gamma": 0.5}},
    "batch_size": 32,
    "epochs": 4,
}


def build_optimizer(model, config):
    return getattr(torch.optim, config["name"])(model.parameters(), **config["params"])


def build_scheduler(optimizer, config):
    return getattr(torch.optim.lr_scheduler, config["name"])(optimizer, **config["params"])


def main(config):
    model = nn.Sequential(nn.Linear(15, 45), nn.ReLU(), nn.Linear(45, 3))
    optimizer = build_optimizer(model, config["optimizer"])
    scheduler = build_scheduler(optimizer, config["scheduler"])
    data = TensorDataset(torch.randn(320, 15), torch.randint(0, 3, (320,)))
    loader = DataLoader(data, batch_size=config["batch_size"], shuffle=True)
    loss_fn = nn.CrossEntropyLoss()
    for epoch in range(config["epochs"]):
        for features, labels in loader:
            loss = loss_fn(model(features), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        scheduler.step()
        print(epoch, loss.item(), scheduler.get_last_lr())


if __name__ == "__main__":
    main(CONFIG)
