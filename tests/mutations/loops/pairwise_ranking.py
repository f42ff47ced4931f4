# Form: implicit-feedback recommendation, several ranking losses behind one switch, all on scores.
import argparse

import torch
import torch.nn.functional as F
from torch import nn, optim
from torch.utils.data import DataLoader, TensorDataset


class Factors(nn.Module):
    def __init__(self, users, items, dim=24):
        super().__init__()
        self.users = nn.Embedding(users, dim)
        self.items = nn.Embedding(items, dim)
        nn.init.normal_(self.users.weight, std=0.05)
        nn.init.normal_(self.items.weight, std=0.05)

    def forward(self, user, item):
        return (self.users(user) * self.items(item)).sum(dim=-1)


def bpr_loss(positive, negative):
    return -F.logsigmoid(positive - negative).mean()


def logistic_loss(positive, negative):
    on_positive = F.logsigmoid(positive)
    on_negative = F.logsigmoid(-negative)
    return -(on_positive + on_negative).mean()


def listwise_loss(positive, negative):
    scores = torch.stack([positive, negative], dim=1)
    return -scores.log_softmax(-1)[:, 0].mean()


def weighted_loss(positive, negative):
    scores = torch.stack([positive, negative], dim=1)
    hardness = F.softmax(scores.detach(), dim=1)[:, 1]
    log_share = F.log_softmax(scores, -1)
    return -(hardness * log_share[:, 0]).mean()


LOSSES = {"bpr": bpr_loss, "logistic": logistic_loss, "listwise": listwise_loss, "weighted": weighted_loss}


def train(model, loader, optimizer, criterion):
    for user, item, other in loader:
        positive, negative = model(user, item), model(user, other)
        loss = criterion(positive, negative)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return loss.item()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--lr", type=float, default=3e-3)
    args = parser.parse_args()
    columns = torch.randint(0, 50, (512,)), torch.randint(0, 90, (512,)), torch.randint(0, 90, (512,))
    loader = DataLoader(TensorDataset(*columns), batch_size=64, shuffle=True)
    for name, criterion in LOSSES.items():
        model = Factors(50, 90)
        optimizer = optim.Adam(model.parameters(), lr=args.lr)
        print(name, train(model, loader, optimizer, criterion))


if __name__ == "__main__":
    main()
