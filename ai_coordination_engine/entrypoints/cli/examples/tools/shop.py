"""Two tools of a shop, and a model that needs no key: it plays a clerk who uses them."""

from pydantic_ai import RunContext
from pydantic_ai.messages import ModelMessage, ModelResponse, TextPart, ToolCallPart, ToolReturnPart
from pydantic_ai.models.function import AgentInfo, FunctionModel

from ai_coordination_engine import ToolContext

STOCK = {"tea": 2, "coffee": 7}


def stock(article: str) -> int:
    """How many boxes of an article there are."""
    return STOCK.get(article, 0)


def order(ctx: RunContext[ToolContext], article: str, boxes: int) -> str:
    """Order boxes of an article.

    Args:
        article: what to order
        boxes: how many
    """
    # a shop that gets the key twice orders once
    key = ctx.deps.idempotency_key
    return f"{boxes} boxes of {article} are ordered ({'with' if key else 'without'} a key)"


def clerk() -> FunctionModel:
    """The model of this example: it looks, orders what is missing, and tells."""
    return FunctionModel(_answer, model_name="clerk")


def _answer(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
    parts = [part for message in messages for part in message.parts]
    found = {part.tool_name: part for part in parts if isinstance(part, ToolReturnPart)}
    if "stock" not in found:
        return ModelResponse([ToolCallPart("stock", {"article": "tea"})])
    missing = 5 - int(str(found["stock"].content))
    if "order" not in found:
        return ModelResponse([ToolCallPart("order", {"article": "tea", "boxes": missing})])
    return ModelResponse([TextPart(f"Done: {found['order'].content}")])
