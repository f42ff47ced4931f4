# Form: an Ignite update function holds one iteration, the engine owns the loop.
import torch
import torch.nn.functional as F
from ignite.engine import Engine, Events
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


def create_trainer(model, optimizer, scheduler, device):
    def update(engine, batch):
        model.train()
        x, y = (t.to(device) for t in batch)
        y_pred = model(x)
        loss = F.cross_entropy(y_pred, y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return {"loss": loss.item()}

    trainer = Engine(update)

    @trainer.on(Events.EPOCH_COMPLETED)
    def next_rate(engine):
        scheduler.step()
        print(engine.state.epoch, engine.state.output["loss"])

    return trainer


def main():
    model = nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 4))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 2, gamma=0.3)
    loader = DataLoader(TensorDataset(torch.randn(256, 16), torch.randint(0, 4, (256,))), batch_size=32, shuffle=True)
    create_trainer(model, optimizer, scheduler, "cpu").run(loader, max_epochs=4)


if __name__ == "__main__":
    main()
