# Form: a deep plain stack built in a loop, initialised to fit its activation.
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


def build(depth=12, width=64):
    layers = [nn.Linear(20, width), nn.ReLU()]
    for _ in range(depth):
        layers += [nn.Linear(width, width), nn.ReLU()]
    net = nn.Sequential(*layers, nn.Linear(width, 5))
    for module in net.modules():
        if isinstance(module, nn.Linear):
            nn.init.kaiming_uniform_(module.weight, nonlinearity="relu")
            nn.init.zeros_(module.bias)
    return net


def main():
    net = build()
    optimizer = torch.optim.Adam(net.parameters(), lr=3e-4)
    loader = DataLoader(TensorDataset(torch.randn(320, 20), torch.randint(0, 5, (320,))), batch_size=32, shuffle=True)
    for epoch in range(3):
        for x, y in loader:
            optimizer.zero_grad(set_to_none=True)
            loss = nn.functional.cross_entropy(net(x), y)
            loss.backward()
            nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            optimizer.step()
        print(epoch, loss.item())


if __name__ == "__main__":
    main()
