"""Encoders of `transformers` over item sequences, as AE or AR: ALBERT and LLaMA.

The library's network takes the place of the blocks. Around it all is as everywhere here: items come
in as embeddings, ``inputs_embeds``, states are compared with the same embeddings, and the mask is
ours, so that padding is never seen and AE and AR differ in the mask and the objective alone.

Of a configuration, ``hidden_size``, ``inner_size``, ``n_layers``, ``n_heads``, ``max_length`` and
the dropouts are read. LLaMA has no dropout but that of attention. Its activation is GELU here, as
in [AE]'s copy, and ALBERT's is the exact one.

`transformers` is an extra, ``pip install seqattn[hf]``, and is loaded when a model is built.

Shapes: B batch, T positions, D hidden width, H heads.

References
----------
[AE] "The Lonely Neighborhood" (2025), table 6; Lan et al. (2020), ALBERT; Touvron et al. (2023),
LLaMA.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from seqattn.config import ModelConfig
from seqattn.errors import SeqattnError
from seqattn.models.attention import initialise
from seqattn.models.backbone import Backbone, BERT4Rec, SASRec


def _transformers() -> ModuleType:
    try:
        import transformers
    except ModuleNotFoundError as error:
        raise SeqattnError(
            "the models whose names begin with 'hf-' need the library transformers; install it "
            "with `pip install 'seqattn[hf]'`"
        ) from error
    return transformers


class Encoder(Backbone):
    """A backbone whose blocks are another library's network.

    Raises
    ------
    SeqattnError
        If `transformers` is not installed, or the configuration changes SASRec's attention.
    """

    reads = ()
    stackable = False  # its masks have no rule under vmap

    def __init__(self, n_items: int, config: ModelConfig) -> None:
        nn.Module.__init__(self)
        self.check(config)
        for name in config.changed_attention:
            raise SeqattnError(
                f"{type(self).__name__} has an attention of its own, which does not read {name} = "
                f"{getattr(config, name)!r}; leave it out for this model"
            )
        self.n_items, self.config = n_items, config
        self.item_embedding = nn.Embedding(n_items + 1, config.hidden_size, padding_idx=0)
        self.item_embedding.apply(initialise)
        self.blocks, self.head = (), None
        self.network = self.make(_transformers(), config)

    def make(self, library: ModuleType, config: ModelConfig) -> nn.Module:
        """Return the library's network with new weights."""
        raise NotImplementedError

    def encode(self, x_BTD: Tensor, mask_B1TT: Tensor, **more: Any) -> Any:
        """Return the network's output, from embeddings and what is added to all logits."""
        raise NotImplementedError

    def forward(
        self, items_BT: Tensor, intensity_BT: Tensor | None = None, read_from: int = 0
    ) -> Tensor:
        """Return hidden states, (B, T - read_from, D), from item codes.

        Raises
        ------
        SeqattnError
            If there are more positions than `max_length`.
        """
        if items_BT.shape[1] > self.config.max_length:
            raise SeqattnError(
                f"a history of {items_BT.shape[1]} positions exceeds max_length = "
                f"{self.config.max_length}; keep its last max_length interactions"
            )
        output = self.encode(self.embed_items(items_BT), self.added(items_BT))
        return output.last_hidden_state[:, read_from:]

    def added(self, items_BT: Tensor) -> Tensor:
        """Return what the mask adds to logits, (B, 1, T, T): 0, or a number that makes a weight 0.

        A padded query sees what a real one at its place would, so no softmax is over nothing.
        """
        t = items_BT.shape[1]
        seen = self.attention_mask(items_BT)
        if seen is None:
            causal_TT = torch.ones(t, t, dtype=torch.bool, device=items_BT.device).tril()
            seen = causal_TT & (items_BT > 0)[:, None, None, :]
        weight = self.item_embedding.weight
        zeros = weight.new_zeros(len(items_BT), 1, t, t)
        return zeros.masked_fill(~seen, torch.finfo(weight.dtype).min)

    def attention_maps(self, items_BT: Tensor, intensity_BT: Tensor | None = None) -> Tensor:
        """Return every layer's attention map, (layers, B, H, T, T); call in evaluation mode."""
        x_BTD, mask = self.embed_items(items_BT), self.added(items_BT)
        return torch.stack(list(self.encode(x_BTD, mask, output_attentions=True).attentions))


class Albert(Encoder):
    """ALBERT: post-norm blocks that all share one set of weights, learned absolute positions."""

    def make(self, library: ModuleType, config: ModelConfig) -> nn.Module:
        """Return ALBERT without its table of words, whose place the items' embeddings take."""
        settings = library.AlbertConfig(
            vocab_size=1,
            embedding_size=config.hidden_size,
            hidden_size=config.hidden_size,
            num_hidden_layers=config.n_layers,
            num_attention_heads=config.n_heads,
            intermediate_size=config.inner_size,
            hidden_act="gelu",
            hidden_dropout_prob=config.hidden_dropout,
            attention_probs_dropout_prob=config.attention_dropout,
            max_position_embeddings=config.max_length,
            type_vocab_size=1,
            attn_implementation="eager",
        )
        network = library.AlbertModel(settings, add_pooling_layer=False)
        network.embeddings.word_embeddings = nn.Identity()
        return network

    def encode(self, x_BTD: Tensor, mask_B1TT: Tensor, **more: Any) -> Any:
        """Call its two halves, since the whole takes no mask but that of padding."""
        network: Any = self.network
        return network.encoder(network.embeddings(inputs_embeds=x_BTD), mask_B1TT, **more)


class Llama(Encoder):
    """LLaMA: pre-norm blocks with RMSNorm and a gated feed-forward, positions by RoPE."""

    def make(self, library: ModuleType, config: ModelConfig) -> nn.Module:
        """Return LLaMA without its table of words, whose place the items' embeddings take.

        Raises
        ------
        SeqattnError
            If a head has an odd number of features, which RoPE cannot turn in pairs.
        """
        if config.hidden_size // config.n_heads % 2:
            raise SeqattnError(
                f"LLaMA turns features in pairs, and a head has "
                f"{config.hidden_size // config.n_heads}; choose hidden_size and n_heads so that "
                "it has an even number"
            )
        settings = library.LlamaConfig(
            vocab_size=1,
            hidden_size=config.hidden_size,
            num_hidden_layers=config.n_layers,
            num_attention_heads=config.n_heads,
            num_key_value_heads=config.n_heads,
            intermediate_size=config.inner_size,
            hidden_act="gelu",
            attention_dropout=config.attention_dropout,
            max_position_embeddings=config.max_length,
            pad_token_id=0,
            use_cache=False,
            attn_implementation="eager",
        )
        network = library.LlamaModel(settings)
        network.embed_tokens = nn.Identity()
        return network

    def encode(self, x_BTD: Tensor, mask_B1TT: Tensor, **more: Any) -> Any:
        """Call it with our mask, which it takes as it is, causal or not."""
        return self.network(inputs_embeds=x_BTD, attention_mask=mask_B1TT, **more)


class AlbertAR(SASRec, Albert):
    """ALBERT under a causal mask, trained on next items."""


class AlbertAE(BERT4Rec, Albert):
    """ALBERT that looks both ways, trained on masked items."""


class LlamaAR(SASRec, Llama):
    """LLaMA under a causal mask, trained on next items."""


class LlamaAE(BERT4Rec, Llama):
    """LLaMA that looks both ways, trained on masked items."""
