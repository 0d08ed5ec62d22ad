"""The outputs of an int8 `.tflite` file as the integers that they are, whoever else reads them.

TensorFlow's converter makes an output an integer by taking away the DEQUANTIZE in front of it, also
where an operator in float32 reads what that gives, and such a file does not load.
"""


def with_int8_outputs(content: bytes) -> bytes:
    """Returns a file's content whose outputs are what was dequantised for them."""
    from ai_edge_litert import schema_py_generated as schema
    from ai_edge_litert.tools import flatbuffer_utils

    model = flatbuffer_utils.read_model_from_bytearray(content)
    graph = model.subgraphs[0]  # others are the bodies of its loops
    integers = {
        int(operator.outputs[0]): int(operator.inputs[0])
        for operator in graph.operators
        if model.operatorCodes[operator.opcodeIndex].builtinCode
        == schema.BuiltinOperator.DEQUANTIZE
    }
    given = {int(x) for x in graph.outputs}
    read = {int(x) for operator in graph.operators for x in operator.inputs}
    unread = (given & integers.keys()) - read
    graph.operators = [x for x in graph.operators if int(x.outputs[0]) not in unread]
    graph.outputs = [integers.get(int(x), int(x)) for x in graph.outputs]
    for output in model.signatureDefs[0].outputs:
        output.tensorIndex = integers.get(output.tensorIndex, output.tensorIndex)
    return bytes(flatbuffer_utils.convert_object_to_bytearray(model))
