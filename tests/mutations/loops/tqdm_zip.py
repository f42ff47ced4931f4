# Form: tqdm around zip of two loaders (labelled and unlabelled data).
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import DataLoader, TensorDataset
from tqdm import tqdm


class Encoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1 = nn.Linear(20, 64)
        self.fc2 = nn.Linear(64, 20)
        self.classify = nn.Linear(64, 6)

    def forward(self, x):
        h = F.leaky_relu(self.fc1(x), 0.1)
        return self.fc2(h), self.classify(h)


def train(model, labelled, unlabelled, optimizer, epoch):
    model.train()
    progress = tqdm(zip(labelled, unlabelled), total=min(len(labelled), len(unlabelled)), desc=f"epoch {epoch}")
    for step, ((x, y), (u,)) in enumerate(progress):
        rebuilt, _ = model(u)
        _, logits = model(x)
        loss = F.cross_entropy(logits, y) + 0.5 * F.mse_loss(rebuilt, u)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % 5 == 0:
            progress.set_postfix(loss=loss.item())


def main():
    labelled = DataLoader(TensorDataset(torch.randn(120, 20), torch.randint(0, 6, (120,))), batch_size=12, shuffle=True)
    unlabelled = DataLoader(TensorDataset(torch.randn(400, 20)), batch_size=40, shuffle=True)
    model = Encoder()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    for epoch in range(2):
        train(model, labelled, unlabelled, optimizer, epoch)


if __name__ == "__main__":
    main()
