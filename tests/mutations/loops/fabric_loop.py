# Form: Lightning Fabric does backward and clipping.
import lightning as L
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


def main():
    fabric = L.Fabric(accelerator="auto", devices=1, precision="bf16-mixed")
    fabric.launch()
    model = nn.Sequential(nn.Linear(24, 96), nn.ReLU(), nn.Linear(96, 12))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    model, optimizer = fabric.setup(model, optimizer)
    data = TensorDataset(torch.randn(512, 24), torch.randint(0, 12, (512,)))
    loader = fabric.setup_dataloaders(DataLoader(data, batch_size=64, shuffle=True))
    for epoch in range(4):
        model.train()
        for inputs, labels in loader:
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(inputs), labels)
            fabric.backward(loss)
            fabric.clip_gradients(model, optimizer, max_norm=1.0)
            optimizer.step()
        fabric.print(f"epoch {epoch} loss {loss.item():.3f}")


if __name__ == "__main__":
    main()
