# Form: self-supervised pair, the target network is a moving average of the online one.
import copy

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import DataLoader, TensorDataset


class BYOL(nn.Module):
    def __init__(self, momentum=0.99):
        super().__init__()
        self.online = nn.Sequential(nn.Linear(32, 64, bias=False), nn.BatchNorm1d(64), nn.ReLU(), nn.Linear(64, 16))
        self.predictor = nn.Linear(16, 16)
        self.target = copy.deepcopy(self.online)
        for p in self.target.parameters():
            p.requires_grad = False
        self.momentum = momentum

    @torch.no_grad()
    def update_target(self):
        for online, target in zip(self.online.parameters(), self.target.parameters()):
            target.data.mul_(self.momentum).add_(online.data, alpha=1 - self.momentum)

    def forward(self, view1, view2):
        prediction = self.predictor(self.online(view1))
        with torch.no_grad():
            goal = self.target(view2)
        return 2 - 2 * F.cosine_similarity(prediction, goal.detach(), dim=-1).mean()


def main():
    model = BYOL()
    trainable = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.SGD(trainable, lr=0.03, momentum=0.9)
    loader = DataLoader(TensorDataset(torch.randn(512, 32)), batch_size=64, shuffle=True, drop_last=True)
    for epoch in range(3):
        for (x,) in loader:
            first, second = x + 0.1 * torch.randn_like(x), x + 0.1 * torch.randn_like(x)
            loss = (model(first, second) + model(second, first)) / 2
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            model.update_target()
        print(epoch, loss.item())


if __name__ == "__main__":
    main()
