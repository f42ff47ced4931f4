"""What a training script of 300 lines looks like: a small language model with warm-up, accumulation, AMP and resume."""

import argparse
import json
import logging
import math
import random
import time
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import DataLoader, Dataset

log = logging.getLogger("train")


@dataclass
class Config:
    vocab_size: int = 512
    context: int = 128
    width: int = 256
    heads: int = 8
    layers: int = 6
    dropout: float = 0.1
    batch_size: int = 32
    accumulate: int = 4
    epochs: int = 10
    lr: float = 3e-4
    min_lr: float = 3e-5
    warmup: int = 200
    weight_decay: float = 0.1
    clip: float = 1.0
    seed: int = 0


class Text(Dataset):
    """Windows of a file of tokens."""

    def __init__(self, tokens: np.ndarray, context: int):
        self.tokens = tokens
        self.context = context

    def __len__(self):
        return (len(self.tokens) - 1) // self.context

    def __getitem__(self, index):
        start = index * self.context
        window = torch.from_numpy(self.tokens[start : start + self.context + 1].astype(np.int64))
        return window[:-1], window[1:]


class Attention(nn.Module):
    def __init__(self, config: Config):
        super().__init__()
        self.heads = config.heads
        self.dropout = config.dropout
        self.qkv = nn.Linear(config.width, 3 * config.width, bias=False)
        self.out = nn.Linear(config.width, config.width, bias=False)
        self.drop = nn.Dropout(config.dropout)

    def forward(self, x):
        batch, length, width = x.shape
        q, k, v = self.qkv(x).split(width, dim=2)
        q = q.view(batch, length, self.heads, width // self.heads).transpose(1, 2)
        k = k.view(batch, length, self.heads, width // self.heads).transpose(1, 2)
        v = v.view(batch, length, self.heads, width // self.heads).transpose(1, 2)
        rate = self.dropout if self.training else 0.0
        y = F.scaled_dot_product_attention(q, k, v, dropout_p=rate, is_causal=True)
        y = y.transpose(1, 2).contiguous().view(batch, length, width)
        return self.drop(self.out(y))


class MLP(nn.Module):
    def __init__(self, config: Config):
        super().__init__()
        self.up = nn.Linear(config.width, 4 * config.width)
        self.down = nn.Linear(4 * config.width, config.width)
        self.drop = nn.Dropout(config.dropout)

    def forward(self, x):
        return self.drop(self.down(F.gelu(self.up(x))))


class Block(nn.Module):
    def __init__(self, config: Config):
        super().__init__()
        self.norm1 = nn.LayerNorm(config.width)
        self.attention = Attention(config)
        self.norm2 = nn.LayerNorm(config.width)
        self.mlp = MLP(config)

    def forward(self, x):
        x = x + self.attention(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class Model(nn.Module):
    def __init__(self, config: Config):
        super().__init__()
        self.config = config
        self.tokens = nn.Embedding(config.vocab_size, config.width)
        self.positions = nn.Embedding(config.context, config.width)
        self.drop = nn.Dropout(config.dropout)
        self.blocks = nn.ModuleList([Block(config) for _ in range(config.layers)])
        self.norm = nn.LayerNorm(config.width)
        self.head = nn.Linear(config.width, config.vocab_size, bias=False)
        self.head.weight = self.tokens.weight
        self.apply(self._init)
        for name, parameter in self.named_parameters():
            if name.endswith(("out.weight", "down.weight")):
                nn.init.normal_(parameter, std=0.02 / math.sqrt(2 * config.layers))

    def _init(self, module):
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=0.02)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight, std=0.02)

    def forward(self, tokens, targets=None):
        length = tokens.shape[1]
        places = torch.arange(length, device=tokens.device)
        x = self.drop(self.tokens(tokens) + self.positions(places))
        for block in self.blocks:
            x = block(x)
        logits = self.head(self.norm(x))
        if targets is None:
            return logits, None
        loss = F.cross_entropy(logits.view(-1, logits.size(-1)), targets.reshape(-1))
        return logits, loss

    @torch.no_grad()
    def generate(self, tokens, count, temperature=1.0, top_k=None):
        for _ in range(count):
            logits, _ = self(tokens[:, -self.config.context :])
            logits = logits[:, -1, :] / temperature
            if top_k is not None:
                kept, _ = torch.topk(logits, min(top_k, logits.size(-1)))
                logits[logits < kept[:, [-1]]] = -float("inf")
            chosen = torch.multinomial(F.softmax(logits, dim=-1), num_samples=1)
            tokens = torch.cat((tokens, chosen), dim=1)
        return tokens


def build_optimizer(model, config):
    decayed = [p for p in model.parameters() if p.requires_grad and p.dim() >= 2]
    plain = [p for p in model.parameters() if p.requires_grad and p.dim() < 2]
    groups = [
        {"params": decayed, "weight_decay": config.weight_decay},
        {"params": plain, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=config.lr, betas=(0.9, 0.95))


def rate_at(step, total, config):
    if step < config.warmup:
        return (step + 1) / config.warmup
    progress = min(1.0, (step - config.warmup) / max(1, total - config.warmup))
    floor = config.min_lr / config.lr
    return floor + 0.5 * (1 - floor) * (1 + math.cos(math.pi * progress))


class AverageMeter:
    def __init__(self):
        self.total = 0.0
        self.count = 0

    def update(self, value, count=1):
        self.total += value * count
        self.count += count

    @property
    def mean(self):
        return self.total / max(1, self.count)


@torch.no_grad()
def evaluate(model, loader, device):
    model.eval()
    meter = AverageMeter()
    for tokens, targets in loader:
        tokens, targets = tokens.to(device), targets.to(device)
        _, loss = model(tokens, targets)
        meter.update(loss.item(), tokens.size(0))
    model.train()
    return meter.mean


def save(path, model, optimizer, scheduler, scaler, epoch, best, config):
    state = {
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "scheduler": scheduler.state_dict(),
        "scaler": scaler.state_dict(),
        "epoch": epoch,
        "best": best,
        "config": asdict(config),
    }
    partial = path.with_suffix(".tmp")
    torch.save(state, partial)
    partial.rename(path)


def resume(path, model, optimizer, scheduler, scaler, device):
    state = torch.load(path, map_location=device)
    model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    scheduler.load_state_dict(state["scheduler"])
    scaler.load_state_dict(state["scaler"])
    return state["epoch"] + 1, state["best"]


def train_epoch(model, loader, optimizer, scheduler, scaler, config, device, amp):
    model.train()
    meter = AverageMeter()
    started = time.perf_counter()
    optimizer.zero_grad(set_to_none=True)
    for index, (tokens, targets) in enumerate(loader):
        tokens = tokens.to(device, non_blocking=True)
        targets = targets.to(device, non_blocking=True)
        with amp:
            _, loss = model(tokens, targets)
        scaler.scale(loss / config.accumulate).backward()
        meter.update(loss.item(), tokens.size(0))
        if (index + 1) % config.accumulate == 0 or index + 1 == len(loader):
            scaler.unscale_(optimizer)
            norm = torch.nn.utils.clip_grad_norm_(model.parameters(), config.clip)
            scaler.step(optimizer)
            scaler.update()
            scheduler.step()
            optimizer.zero_grad(set_to_none=True)
            if index % 100 < config.accumulate:
                speed = meter.count / (time.perf_counter() - started)
                log.info("batch %d loss %.4f norm %.3f %.0f samples/s", index, meter.mean, norm.item(), speed)
    return meter.mean


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--out", type=Path, default=Path("runs"))
    parser.add_argument("--epochs", type=int, default=Config.epochs)
    parser.add_argument("--lr", type=float, default=Config.lr)
    parser.add_argument("--batch-size", type=int, default=Config.batch_size)
    parser.add_argument("--accumulate", type=int, default=Config.accumulate)
    parser.add_argument("--resume", action="store_true")
    args = parser.parse_args()

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    config = Config(epochs=args.epochs, lr=args.lr, batch_size=args.batch_size, accumulate=args.accumulate)
    random.seed(config.seed)
    np.random.seed(config.seed)
    torch.manual_seed(config.seed)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")

    tokens = np.memmap(args.data, dtype=np.uint16, mode="r")
    split = int(0.9 * len(tokens))
    train_set, valid_set = Text(tokens[:split], config.context), Text(tokens[split:], config.context)
    train_loader = DataLoader(train_set, config.batch_size, shuffle=True, num_workers=2, pin_memory=True)
    valid_loader = DataLoader(valid_set, config.batch_size, num_workers=2)

    model = Model(config).to(device)
    optimizer = build_optimizer(model, config)
    total = config.epochs * math.ceil(len(train_loader) / config.accumulate)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: rate_at(step, total, config))
    scaler = torch.amp.GradScaler(device.type, enabled=device.type == "cuda")
    amp = torch.autocast(device.type, dtype=torch.float16) if device.type == "cuda" else nullcontext()

    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "config.json").write_text(json.dumps(asdict(config), indent=2))
    last, best_path = args.out / "last.pt", args.out / "best.pt"
    first, best = 0, float("inf")
    if args.resume and last.exists():
        first, best = resume(last, model, optimizer, scheduler, scaler, device)

    for epoch in range(first, config.epochs):
        train_loss = train_epoch(model, train_loader, optimizer, scheduler, scaler, config, device, amp)
        valid_loss = evaluate(model, valid_loader, device)
        log.info("epoch %d train %.4f valid %.4f ppl %.2f", epoch, train_loss, valid_loss, math.exp(valid_loss))
        if valid_loss < best:
            best = valid_loss
            torch.save(model.state_dict(), best_path)
        save(last, model, optimizer, scheduler, scaler, epoch, best, config)

    model.load_state_dict(torch.load(best_path, map_location=device))
    model.eval()
    prompt = torch.zeros((1, 1), dtype=torch.long, device=device)
    sample = model.generate(prompt, 200, temperature=0.8, top_k=50)
    (args.out / "sample.json").write_text(json.dumps(sample[0].tolist()))


if __name__ == "__main__":
    main()
