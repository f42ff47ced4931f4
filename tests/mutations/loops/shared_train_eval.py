# Form: one function for training and evaluation, told apart by a flag.
import torch
import torch.nn as nn
from torch.utils.data import DataLoader, TensorDataset


def run_epoch(model, loader, criterion, optimizer, train):
    model.train(train)
    total, correct = 0.0, 0
    with torch.set_grad_enabled(train):
        for inputs, labels in loader:
            outputs = model(inputs)
            loss = criterion(outputs, labels)
            if train:
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
            total += loss.item() * inputs.size(0)
            correct += (outputs.argmax(1) == labels).sum().item()
    return total / len(loader.dataset), correct / len(loader.dataset)


def main():
    x, y = torch.randn(500, 14), torch.randint(0, 5, (500,))
    loaders = {
        "train": DataLoader(TensorDataset(x[:400], y[:400]), batch_size=40, shuffle=True),
        "val": DataLoader(TensorDataset(x[400:], y[400:]), batch_size=100),
    }
    model = nn.Sequential(nn.Linear(14, 56), nn.ReLU(), nn.Dropout(0.2), nn.Linear(56, 5))
    criterion = nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    scheduler = torch.optim.lr_scheduler.ExponentialLR(optimizer, gamma=0.8)
    for epoch in range(4):
        run_epoch(model, loaders["train"], criterion, optimizer, train=True)
        print(epoch, run_epoch(model, loaders["val"], criterion, optimizer, train=False))
        scheduler.step()


if __name__ == "__main__":
    main()
