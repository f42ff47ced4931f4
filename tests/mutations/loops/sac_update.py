# Form: soft actor-critic, the action sampled with gradient through two critics; values in columns and rows.
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.distributions import Normal
from torch.utils.data import DataLoader, TensorDataset


class Actor(nn.Module):
    def __init__(self):
        super().__init__()
        self.body, self.mean, self.log_std = nn.Linear(6, 64), nn.Linear(64, 2), nn.Linear(64, 2)

    def forward(self, obs):
        h = torch.relu(self.body(obs))
        return Normal(self.mean(h), self.log_std(h).clamp(-5, 2).exp())


class Critic(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(8, 64), nn.ReLU(), nn.Linear(64, 1))

    def forward(self, obs, action):
        return self.net(torch.cat([obs, action], dim=1)).squeeze(-1)


actor, critic, twin = Actor(), Critic(), Critic()
actor_optimizer = torch.optim.Adam(actor.parameters(), lr=3e-4)
critic_optimizer = torch.optim.Adam([*critic.parameters(), *twin.parameters()], lr=3e-4)
alpha = 0.2
replay = TensorDataset(torch.randn(512, 6), torch.randn(512, 2), torch.randn(512, 3).sum(dim=1))
for obs, action, returns in DataLoader(replay, batch_size=64, shuffle=True):
    critic_loss = F.mse_loss(critic(obs, action), returns) + F.mse_loss(twin(obs, action), returns)
    critic_optimizer.zero_grad()
    critic_loss.backward()
    critic_optimizer.step()

    policy = actor(obs)
    chosen = policy.rsample()
    log_prob = policy.log_prob(chosen).sum(dim=1)
    value = torch.min(critic(obs, chosen), twin(obs, chosen))
    actor_loss = (alpha * log_prob - value).mean()
    actor_optimizer.zero_grad()
    actor_loss.backward()
    actor_optimizer.step()
