# Form: variational autoencoder, sampled with gradient, likelihood and divergence from distributions.
import torch
import torch.nn as nn
from torch.distributions import Bernoulli, Normal, kl_divergence
from torch.utils.data import DataLoader, TensorDataset


class VAE(nn.Module):
    def __init__(self, dim=32, latent=4):
        super().__init__()
        self.encoder = nn.Linear(dim, 48)
        self.mean, self.log_std = nn.Linear(48, latent), nn.Linear(48, latent)
        self.decoder = nn.Sequential(nn.Linear(latent, 48), nn.ReLU(), nn.Linear(48, dim))

    def forward(self, x):
        h = torch.relu(self.encoder(x))
        posterior = Normal(self.mean(h), self.log_std(h).exp())
        z = posterior.rsample()
        likelihood = Bernoulli(logits=self.decoder(z))
        divergence = kl_divergence(posterior, Normal(0.0, 1.0)).sum(dim=1)
        return divergence - likelihood.log_prob(x).sum(dim=1)


model = VAE()
optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
loader = DataLoader(TensorDataset(torch.rand(256, 32).round()), batch_size=32, shuffle=True)
for epoch in range(3):
    for (x,) in loader:
        loss = model(x).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
