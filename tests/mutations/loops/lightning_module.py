# Form: Lightning with automatic optimisation; the framework clears, steps and clips.
import lightning as L
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


class LitRegressor(L.LightningModule):
    def __init__(self, lr=1e-3):
        super().__init__()
        self.lr = lr
        self.net = nn.Sequential(nn.Linear(13, 52), nn.ReLU(), nn.Linear(52, 1))

    def forward(self, x):
        return self.net(x).squeeze(-1)

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.mse_loss(self(x), y)
        self.log("train_loss", loss)
        return loss

    def configure_optimizers(self):
        return torch.optim.AdamW(self.parameters(), lr=self.lr)


loader = DataLoader(TensorDataset(torch.randn(260, 13), torch.randn(260)), batch_size=26, shuffle=True)
L.Trainer(max_epochs=3, gradient_clip_val=1.0).fit(LitRegressor(), loader)
