# Form: policy gradient, an environment whose step is no optimizer's.
from collections import deque

import torch
import torch.nn as nn
from torch.distributions import Categorical


class Corridor:
    def reset(self):
        self.at, self.t = 0, 0
        return torch.tensor([0.0, 0.0])

    def step(self, action):
        self.at, self.t = self.at + (1 if action else -1), self.t + 1
        done = abs(self.at) >= 4 or self.t >= 30
        return torch.tensor([self.at / 4, self.t / 30]), float(self.at >= 4), done


class Policy(nn.Module):
    def __init__(self):
        super().__init__()
        self.affine = nn.Linear(2, 32)
        self.action = nn.Linear(32, 2)

    def forward(self, x):
        return self.action(torch.relu(self.affine(x)))


env, policy = Corridor(), Policy()
optimizer = torch.optim.Adam(policy.parameters(), lr=3e-3)
gamma = 0.97


def select_action(state, log_probs):
    distribution = Categorical(logits=policy(state))
    action = distribution.sample()
    log_probs.append(distribution.log_prob(action))
    return action.item()


def finish_episode(log_probs, rewards):
    returns, running = deque(), 0.0
    for r in reversed(rewards):
        running = r + gamma * running
        returns.appendleft(running)
    returns = torch.tensor(returns)
    policy_loss = -(torch.stack(log_probs) * returns).sum()
    optimizer.zero_grad()
    policy_loss.backward()
    optimizer.step()


for episode in range(40):
    state, done, log_probs, rewards = env.reset(), False, [], []
    while not done:
        state, reward, done = env.step(select_action(state, log_probs))
        rewards.append(reward)
    finish_episode(log_probs, rewards)
