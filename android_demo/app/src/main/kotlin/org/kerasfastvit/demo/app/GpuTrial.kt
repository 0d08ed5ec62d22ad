package org.kerasfastvit.demo.app

import android.content.Context
import org.kerasfastvit.demo.core.Accelerator
import org.kerasfastvit.demo.core.EngineException
import java.io.File

/**
 * Remembers beyond the end of the process that a model was being tried on the GPU.
 *
 * A driver that cannot take a model may end the app instead of refusing. As the choice of the GPU is
 * kept, the app would then end at each start.
 */
class GpuTrial(
    context: Context,
) {
    private val mark = File(context.filesDir, "gpu_trial")

    /**
     * Loads and runs a model by [trial].
     *
     * @throws EngineException if the last trial on the GPU did not come to its end; the next one is
     *     made again.
     */
    fun <T> of(
        accelerator: Accelerator,
        trial: () -> T,
    ): T {
        if (accelerator != Accelerator.GPU) return trial()
        if (mark.delete()) {
            throw EngineException(
                "Expected a GPU that takes the model. Received: the end of the app, last time",
            )
        }
        mark.createNewFile()
        try {
            return trial()
        } finally {
            mark.delete()
        }
    }
}
