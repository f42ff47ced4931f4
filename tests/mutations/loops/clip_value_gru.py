# Form: a GRU trained with element-wise clipping; sequences packed in a collate function.
import torch
from torch import nn
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import DataLoader


class Sentiment(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(100, 24, padding_idx=0)
        self.gru = nn.GRU(24, 48, batch_first=True)
        self.fc = nn.Linear(48, 1)

    def forward(self, ids):
        _, last = self.gru(self.embedding(ids))
        return self.fc(last[-1]).squeeze(1)


def collate(rows):
    ids, labels = zip(*rows)
    return pad_sequence(ids, batch_first=True), torch.stack(labels)


samples = [(torch.randint(1, 100, (int(n),)), torch.rand(()).round()) for n in torch.randint(5, 30, (200,))]
loader = DataLoader(samples, batch_size=20, shuffle=True, collate_fn=collate)
model = Sentiment()
criterion = nn.BCEWithLogitsLoss()
optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)

for epoch in range(2):
    model.train()
    for ids, labels in loader:
        optimizer.zero_grad()
        logits = model(ids)
        loss = criterion(logits, labels)
        loss.backward()
        nn.utils.clip_grad_value_(model.parameters(), 1.0)
        optimizer.step()
    print(epoch, loss.item())
