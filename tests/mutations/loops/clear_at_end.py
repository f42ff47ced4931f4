# Form: train and evaluate functions; the gradients are cleared after the step.
import torch
from torch import nn, optim
from torch.utils.data import DataLoader, TensorDataset


class Net(nn.Module):
    def __init__(self, width=32):
        super().__init__()
        self.conv = nn.Conv2d(1, width, 3, padding=1)
        self.drop = nn.Dropout2d(0.2)
        self.fc = nn.Linear(width, 10)

    def forward(self, x):
        x = torch.relu(self.conv(x))
        x = self.drop(x).mean(dim=(2, 3))
        return self.fc(x)


def train(model, loader, optimizer, loss_fn):
    model.train()
    running = 0.0
    for images, labels in loader:
        logits = model(images)
        loss = loss_fn(logits, labels)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        running += loss.item()
    return running / len(loader)


def evaluate(model, loader):
    model.eval()
    correct = 0
    with torch.no_grad():
        for images, labels in loader:
            correct += (model(images).argmax(dim=1) == labels).sum().item()
    return correct / len(loader.dataset)


def main():
    data = TensorDataset(torch.randn(256, 1, 8, 8), torch.randint(0, 10, (256,)))
    loader = DataLoader(data, batch_size=32, shuffle=True)
    test_loader = DataLoader(data, batch_size=64)
    model = Net()
    optimizer = optim.SGD(model.parameters(), lr=0.02, momentum=0.9)
    scheduler = optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=3)
    for epoch in range(3):
        loss = train(model, loader, optimizer, nn.CrossEntropyLoss())
        scheduler.step()
        print(epoch, loss, evaluate(model, test_loader))


if __name__ == "__main__":
    main()
