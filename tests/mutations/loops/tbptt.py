# Form: truncated back-propagation through time, hidden state carried and cut.
import torch
from torch import nn


class CharRNN(nn.Module):
    def __init__(self, vocab=30, hidden=40):
        super().__init__()
        self.embed = nn.Embedding(vocab, 16)
        self.rnn = nn.GRU(16, hidden, num_layers=1)
        self.decode = nn.Linear(hidden, vocab)

    def forward(self, ids, hidden):
        out, hidden = self.rnn(self.embed(ids), hidden)
        return self.decode(out), hidden


bptt, batch_size = 16, 8
text = torch.randint(0, 30, (400, batch_size))
model = CharRNN()
optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
criterion = nn.CrossEntropyLoss()

for epoch in range(2):
    hidden = torch.zeros(1, batch_size, 40)
    for i in range(0, text.size(0) - bptt - 1, bptt):
        inputs, targets = text[i : i + bptt], text[i + 1 : i + bptt + 1]
        hidden = hidden.detach()
        logits, hidden = model(inputs, hidden)
        loss = criterion(logits.reshape(-1, 30), targets.reshape(-1))
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 0.5)
        optimizer.step()
    print(epoch, loss.item())
