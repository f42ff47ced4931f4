# Form: adversarial training, each half clears and steps its own optimizer.
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

latent = 8
G = nn.Sequential(nn.Linear(latent, 32), nn.ReLU(), nn.Linear(32, 2))
D = nn.Sequential(nn.Linear(2, 32), nn.LeakyReLU(0.2), nn.Linear(32, 1))
opt_g = torch.optim.Adam(G.parameters(), lr=1e-4, betas=(0.5, 0.999))
opt_d = torch.optim.Adam(D.parameters(), lr=2e-4, betas=(0.5, 0.999))
bce = nn.BCEWithLogitsLoss()
loader = DataLoader(TensorDataset(torch.randn(512, 2)), batch_size=64, shuffle=True)


def update_d(real, z):
    opt_d.zero_grad()
    with torch.no_grad():
        fake = G(z)
    real_score, fake_score = D(real), D(fake)
    loss_d = bce(real_score, torch.ones_like(real_score)) + bce(fake_score, torch.zeros_like(fake_score))
    loss_d.backward()
    opt_d.step()
    return loss_d.item()


def update_g(z):
    opt_g.zero_grad()
    score = D(G(z))
    loss_g = bce(score, torch.ones_like(score))
    loss_g.backward()
    opt_g.step()
    return loss_g.item()


for epoch in range(3):
    for (real,) in loader:
        loss_d = update_d(real, torch.randn(len(real), latent))
        loss_g = update_g(torch.randn(len(real), latent))
    print(epoch, loss_d, loss_g)
