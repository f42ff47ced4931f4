# Form: losses of a small separator as modules, each with its guard: spectra, energies and ratios in decibels.
import torch
import torch.nn as nn
from torch.utils.data import DataLoader, TensorDataset

EPS = 1e-8


class LogSpectralLoss(nn.Module):
    def __init__(self, n_fft=256):
        super().__init__()
        self.n_fft = n_fft
        self.register_buffer("window", torch.hann_window(n_fft))

    def log_magnitude(self, audio):
        spectrum = torch.stft(audio, self.n_fft, window=self.window, return_complex=True)
        return torch.log(spectrum.abs() + EPS)

    def forward(self, estimate, target):
        return (self.log_magnitude(estimate) - self.log_magnitude(target)).abs().mean()


class EnergyLoss(nn.Module):
    def forward(self, estimate, target):
        ours = estimate.pow(2).mean(dim=-1).clamp_min(1e-8).log()
        theirs = target.pow(2).mean(dim=-1).clamp(min=1e-8).log()
        return (ours - theirs).abs().mean()


def snr_loss(estimate, target):
    signal = torch.sum(target**2, dim=-1)
    noise = torch.sum((target - estimate) ** 2, dim=-1)
    return -10 * torch.mean(torch.log10(signal + EPS) - torch.log10(noise + EPS))


class RMSLoss(nn.Module):
    def forward(self, estimate, target):
        rms = torch.sqrt((estimate - target).pow(2).mean(dim=-1) + EPS)
        return rms.mean()


def magnitude_loss(estimate, target):
    ours, theirs = torch.fft.rfft(estimate), torch.fft.rfft(target)
    magnitude = torch.sqrt(ours.real**2 + ours.imag**2 + EPS)
    return (magnitude - theirs.abs()).abs().mean()


class Separator(nn.Module):
    def __init__(self, width=16):
        super().__init__()
        self.net = nn.Sequential(nn.Conv1d(1, width, 9, padding=4), nn.PReLU(), nn.Conv1d(width, 1, 9, padding=4))

    def forward(self, mixture):
        return self.net(mixture.unsqueeze(1)).squeeze(1)


def main():
    clean = torch.randn(64, 1024)
    loader = DataLoader(TensorDataset(clean + 0.3 * torch.randn(64, 1024), clean), batch_size=16, shuffle=True)
    model = Separator()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    spectral, energy, rms = LogSpectralLoss(), EnergyLoss(), RMSLoss()
    for epoch in range(2):
        for mixture, target in loader:
            estimate = model(mixture)
            loss = spectral(estimate, target) + energy(estimate, target) + rms(estimate, target)
            loss = loss + 0.01 * snr_loss(estimate, target) + 0.1 * magnitude_loss(estimate, target)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        print(epoch, loss.item())


if __name__ == "__main__":
    main()
