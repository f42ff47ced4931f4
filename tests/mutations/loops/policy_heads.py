# Form: policy gradient with several heads, each a distribution of its own; a value regressed beside it.
import torch
import torch.nn as nn
from torch.distributions import Bernoulli, Categorical, OneHotCategorical
from torch.utils.data import DataLoader, TensorDataset


class Agent(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Linear(10, 64)
        self.move, self.look, self.tool = nn.Linear(64, 4), nn.Linear(64, 3), nn.Linear(64, 5)
        self.jump, self.fire, self.value = nn.Linear(64, 1), nn.Linear(64, 1), nn.Linear(64, 1)

    def forward(self, obs):
        h = torch.tanh(self.body(obs))
        move = Categorical(logits=self.move(h))
        look = Categorical(probs=torch.softmax(self.look(h), dim=-1))
        tool = OneHotCategorical(logits=self.tool(h))
        jump = Bernoulli(logits=self.jump(h).squeeze(-1))
        fire = Bernoulli(probs=torch.sigmoid(self.fire(h)).squeeze(-1))
        return move, look, tool, jump, fire, self.value(h).squeeze(-1)


agent = Agent()
optimizer = torch.optim.Adam(agent.parameters(), lr=1e-3)
episodes = TensorDataset(
    torch.randn(320, 10), torch.randint(0, 3, (320, 2)), torch.eye(5)[torch.randint(0, 5, (320,))],
    torch.randint(0, 2, (320, 2)).float(), torch.randn(320, 4).sum(dim=1),
)  # fmt: skip
for obs, steps, used, buttons, returns in DataLoader(episodes, batch_size=64, shuffle=True):
    move, look, tool, jump, fire, value = agent(obs)
    log_prob = move.log_prob(steps[:, 0]) + look.log_prob(steps[:, 1]) + tool.log_prob(used)
    log_prob = log_prob + jump.log_prob(buttons[:, 0]) + fire.log_prob(buttons[:, 1])
    advantage = (returns - value).detach()
    value_loss = ((returns - value) ** 2).mean()
    loss = 0.5 * value_loss - (log_prob * advantage).mean() - 0.01 * move.entropy().mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
