# Form: log-probabilities made in a Sequential, in forwards and in the loop; class dimension last or first after the batch.
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import DataLoader, TensorDataset


class Segmenter(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.out = nn.Conv2d(3, 16, 3, padding=1), nn.Conv2d(16, 5, 1)
        self.normalise = nn.LogSoftmax(dim=1)

    def forward(self, x):
        return self.normalise(self.out(F.relu(self.conv(x))))


class Shape(nn.Module):
    def __init__(self):
        super().__init__()
        self.hidden, self.out = nn.Linear(192, 32), nn.Linear(32, 4)

    def forward(self, x):
        return F.log_softmax(self.out(F.relu(self.hidden(x.flatten(1)))), dim=-1)


class Policy(nn.Module):
    def __init__(self):
        super().__init__()
        self.score = nn.Linear(192, 6)

    def forward(self, x):
        return torch.log_softmax(self.score(x.view(-1, 192)), dim=1)


colour = nn.Sequential(nn.Flatten(), nn.Linear(192, 32), nn.ReLU(), nn.Linear(32, 7), nn.LogSoftmax(dim=1))
student = nn.Sequential(nn.Flatten(), nn.Linear(192, 9))
nets = nn.ModuleList([Segmenter(), Shape(), Policy(), colour, student])
segmenter, shape, policy, colour, student = nets
optimizer = torch.optim.Adam(nets.parameters(), lr=1e-3)
pixels = TensorDataset(
    torch.randn(96, 3, 8, 8), torch.randint(0, 5, (96, 8, 8)), torch.randint(0, 4, (96, 1)), torch.rand(96, 9)
)
for image, mask, label, soft in DataLoader(pixels, batch_size=16, shuffle=True):
    kept = policy(image).gather(1, label).mean() + F.nll_loss(colour(image), label.flatten())
    guess = student(image).log_softmax(dim=1)
    loss = F.nll_loss(segmenter(image), mask) + F.nll_loss(shape(image), label.flatten()) - kept
    loss = loss + F.kl_div(guess, soft / soft.sum(dim=1, keepdim=True), reduction="batchmean")
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
