# Form: everything inside main, with inner functions that share its names.
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import DataLoader, TensorDataset


def main(epochs=3, lr=3e-4):
    signals, labels = torch.randn(320, 1, 64), torch.randint(0, 2, (320,)).float()
    loader = DataLoader(TensorDataset(signals, labels), batch_size=32, shuffle=True)
    net = nn.Sequential(
        nn.Conv1d(1, 16, 5, padding=2), nn.ReLU(), nn.AdaptiveMaxPool1d(8), nn.Flatten(), nn.Linear(128, 1)
    )
    optimizer = torch.optim.Adam(net.parameters(), lr=lr)
    history = []

    def compute_loss(batch):
        signal, label = batch
        return F.binary_cross_entropy_with_logits(net(signal).squeeze(1), label)

    def update(loss):
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    def run_epoch():
        total = 0.0
        for batch in loader:
            loss = compute_loss(batch)
            update(loss)
            total += loss.item()
        history.append(total / len(loader))

    for _ in range(epochs):
        run_epoch()
    print(history)


if __name__ == "__main__":
    main()
