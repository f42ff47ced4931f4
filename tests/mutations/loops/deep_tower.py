# Form: a deep tower of linear layers, apply takes the initialiser to each of them.
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


class Tower(nn.Module):
    def __init__(self, features=40, width=64, depth=26, classes=6):
        super().__init__()
        self.inp = nn.Linear(features, width)
        self.layers = nn.ModuleList([nn.Linear(width, width) for _ in range(depth)])
        self.head = nn.Linear(width, classes)
        self.apply(self.set_weights)

    def set_weights(self, module):
        if isinstance(module, nn.Linear):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            nn.init.zeros_(module.bias)

    def forward(self, x):
        x = F.relu(self.inp(x))
        for layer in self.layers:
            x = F.relu(layer(x))
        return self.head(x)


def main():
    model = Tower()
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-4)
    data = TensorDataset(torch.randn(480, 40), torch.randint(0, 6, (480,)))
    for epoch in range(4):
        for inputs, labels in DataLoader(data, batch_size=48, shuffle=True):
            scores = model(inputs)
            loss = F.cross_entropy(scores, labels)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
        print(epoch, loss.item())


if __name__ == "__main__":
    main()
