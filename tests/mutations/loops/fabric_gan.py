# Form: Fabric sets up two networks with their optimizers, each half goes backward through it.
import torch
from lightning.fabric import Fabric
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


def main():
    fabric = Fabric(accelerator="auto")
    G = nn.Sequential(nn.Linear(10, 40), nn.ReLU(), nn.Linear(40, 3))
    D = nn.Sequential(nn.Linear(3, 40), nn.LeakyReLU(0.2), nn.Linear(40, 1))
    G, opt_g = fabric.setup(G, torch.optim.Adam(G.parameters(), lr=2e-4, betas=(0.5, 0.999)))
    D, opt_d = fabric.setup(D, torch.optim.Adam(D.parameters(), lr=2e-4, betas=(0.5, 0.999)))
    loader = fabric.setup_dataloaders(DataLoader(TensorDataset(torch.rand(600, 3)), batch_size=50, shuffle=True))
    bce = nn.BCEWithLogitsLoss()
    for epoch in range(2):
        for (real,) in loader:
            z = torch.randn(real.size(0), 10, device=fabric.device)
            opt_d.zero_grad()
            wrong = D(G(z).detach())
            loss_d = bce(wrong, torch.zeros_like(wrong)) + bce(D(real), torch.ones_like(wrong))
            fabric.backward(loss_d)
            opt_d.step()
            opt_g.zero_grad()
            score = D(G(z))
            loss_g = bce(score, torch.ones_like(score))
            fabric.backward(loss_g)
            opt_g.step()
        print(epoch, loss_d.item(), loss_g.item())


if __name__ == "__main__":
    main()
