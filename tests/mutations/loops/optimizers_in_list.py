# Form: lists of models and optimizers walked together (an ensemble).
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


def make_model(width):
    return nn.Sequential(nn.Linear(6, width), nn.SiLU(), nn.Linear(width, 3))


def main():
    models = [make_model(width) for width in (16, 32, 64)]
    optimizers = [torch.optim.Adam(m.parameters(), lr=2e-3) for m in models]
    x, y = torch.randn(240, 6), torch.randint(0, 3, (240,))
    loader = DataLoader(TensorDataset(x, y), batch_size=24, shuffle=True)
    for epoch in range(3):
        for inputs, labels in loader:
            for model, optimizer in zip(models, optimizers):
                loss = nn.functional.cross_entropy(model(inputs), labels)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
        with torch.no_grad():
            votes = torch.stack([m(x).softmax(1) for m in models]).mean(0)
        print(epoch, (votes.argmax(1) == y).float().mean().item())


if __name__ == "__main__":
    main()
