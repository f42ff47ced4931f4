# Form: losses over masked entries: the argument is made safe before the branch, as `where` guards values only.
import torch
import torch.nn as nn
import torch.nn.functional as F

vocabulary, width = 80, 24


class Scorer(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(vocabulary, width)
        self.score = nn.Linear(width, vocabulary)

    def forward(self, tokens):
        return self.score(self.embed(tokens).mean(dim=1))


def sparse_entropy(logits, allowed):
    p = F.softmax(logits, dim=1) * allowed.float()
    positive = p > 0
    safe_p = torch.where(positive, p, torch.ones_like(p))
    return -torch.where(positive, p * torch.log(safe_p), torch.zeros_like(p)).sum(dim=1).mean()


def distances(z):
    squared = (z.unsqueeze(0) - z.unsqueeze(1)).pow(2).sum(dim=-1)
    apart = squared > 0
    safe_squared = torch.where(apart, squared, torch.ones_like(squared))
    return torch.where(apart, safe_squared.sqrt(), torch.zeros_like(squared))


class RelativeLoss(nn.Module):
    def forward(self, prediction, target):
        error = (prediction - target).abs()
        wrong = error > 0
        safe_error = torch.where(wrong, error, torch.ones_like(error))
        weight = torch.where(wrong, 1 / safe_error, torch.zeros_like(error))
        return (weight * error**2).mean()


class CompandedLoss(nn.Module):
    def forward(self, prediction, target):
        return (self.encode(prediction) - self.encode(target)).abs().mean()

    def encode(self, x):
        level = x.abs()
        high = level > 0.0031308
        safe_level = torch.where(high, level, torch.ones_like(level))
        return torch.where(high, 1.055 * safe_level ** (1 / 2.4) - 0.055, 12.92 * level)


def deviation_loss(logits):
    variance = logits.var(dim=1)
    varied = variance > 0
    safe_variance = torch.where(varied, variance, torch.ones_like(variance))
    return torch.where(varied, safe_variance.sqrt(), torch.zeros_like(variance)).mean()


def log_ratio_loss(logits, target):
    gap = (logits - target) ** 2
    far = gap > 0
    safe_gap = torch.where(far, gap, torch.ones_like(gap))
    return torch.where(far, safe_gap.log(), torch.zeros_like(gap)).mean()


def inverse_distance_loss(logits, target):
    gap = (logits - target).abs()
    far = gap > 0
    safe_gap = torch.where(far, gap, torch.ones_like(gap))
    return torch.where(far, torch.rsqrt(safe_gap), torch.zeros_like(gap)).mean()


def root_loss(logits):
    size = logits.abs()
    nonzero = size > 0
    safe_size = torch.where(nonzero, size, torch.ones_like(size))
    return torch.where(nonzero, safe_size.pow(0.5), torch.zeros_like(size)).mean()


model = Scorer()
relative, companded = RelativeLoss(), CompandedLoss()
optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
for step in range(50):
    tokens = torch.randint(0, vocabulary, (16, 9))
    target = torch.randn(16, vocabulary)
    logits = model(tokens)
    loss = sparse_entropy(logits, target > -1.0) - 0.01 * distances(logits).mean()
    loss = loss + relative(logits, target) + companded(logits, target) + deviation_loss(logits)
    loss = loss + 0.01 * (log_ratio_loss(logits, target) + inverse_distance_loss(logits, target)) + root_loss(logits)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
