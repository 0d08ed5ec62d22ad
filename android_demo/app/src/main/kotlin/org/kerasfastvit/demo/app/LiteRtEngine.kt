package org.kerasfastvit.demo.app

import com.google.ai.edge.litert.CompiledModel
import com.google.ai.edge.litert.LiteRtException
import com.google.ai.edge.litert.TensorBuffer
import org.kerasfastvit.demo.core.Accelerator
import org.kerasfastvit.demo.core.Engine
import org.kerasfastvit.demo.core.EngineException
import org.kerasfastvit.demo.core.ModelDescription
import org.kerasfastvit.demo.core.ModelInput
import org.kerasfastvit.demo.core.Scores
import org.kerasfastvit.demo.core.TensorType
import java.io.File
import com.google.ai.edge.litert.Accelerator as LiteRtAccelerator

/**
 * LiteRT's `CompiledModel`: the only file that names it.
 *
 * One accelerator is asked for alone. Asked for the GPU and the CPU together, LiteRT would fall back
 * to the CPU without a word; so it refuses, and the user is told.
 *
 * @param threads Of the CPU.
 * @throws EngineException if the file cannot be loaded, or the accelerator not take all of it.
 */
class LiteRtEngine(
    file: File,
    private val description: ModelDescription,
    override val accelerator: Accelerator,
    threads: Int,
) : Engine {
    private val model: CompiledModel
    private val inputs: List<TensorBuffer>
    private val outputs: List<TensorBuffer>

    init {
        model = refusing { CompiledModel.create(file.path, options(threads)) }
        try {
            inputs = refusing { model.createInputBuffers() }
            outputs = refusing { model.createOutputBuffers() }
            if (inputs.size != 1 || outputs.size != 1) {
                throw EngineException(
                    "Expected a model with one input and one output. " +
                        "Received: ${inputs.size} and ${outputs.size}",
                )
            }
        } catch (error: EngineException) {
            model.close()
            throw error
        }
    }

    private fun options(threads: Int): CompiledModel.Options =
        when (accelerator) {
            Accelerator.GPU -> {
                CompiledModel.Options(LiteRtAccelerator.GPU)
            }

            Accelerator.CPU -> {
                CompiledModel.Options(LiteRtAccelerator.CPU).apply {
                    cpuOptions = CompiledModel.CpuOptions(numThreads = threads)
                }
            }
        }

    override fun run(
        input: ModelInput,
        scores: Scores,
    ) = refusing {
        when (input) {
            is ModelInput.Int8 -> inputs[0].writeInt8(input.values.array())
            is ModelInput.Float32 -> inputs[0].writeFloat(input.values.array())
        }
        model.run(inputs, outputs)
        // LiteRT gives a new array each time: some bytes for each class.
        when (description.output.tensor.dtype) {
            TensorType.INT8 -> scores.read(outputs[0].readInt8())
            TensorType.FLOAT32 -> scores.read(outputs[0].readFloat())
        }
    }

    override fun close() {
        (inputs + outputs).forEach(TensorBuffer::close)
        model.close()
    }

    private inline fun <T> refusing(call: () -> T): T =
        try {
            call()
        } catch (error: LiteRtException) {
            throw EngineException("LiteRT on $accelerator: ${error.message}", error)
        } catch (error: LinkageError) {
            // The processor's kind is none that LiteRT is built for; at the second time its classes
            // are not there at all.
            throw EngineException("LiteRT is not built for this device: ${error.message}", error)
        }
}
