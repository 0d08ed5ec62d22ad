package org.kerasfastvit.demo.app

import android.content.Context
import org.kerasfastvit.demo.core.DescriptionException
import org.kerasfastvit.demo.core.EngineException
import org.kerasfastvit.demo.core.Settings
import java.io.IOException

/** From a model's name to a classifier that has run. */
class ModelLoader(
    context: Context,
) {
    private val models = ModelStore(context)
    private val trial = GpuTrial(context)

    /**
     * Loads a model as the settings say, and runs it once: what cannot run fails here.
     *
     * @throws DescriptionException if the file is not what its description says.
     * @throws EngineException if the accelerator cannot take the model.
     * @throws IOException if there is no such model, or it cannot be read.
     */
    fun load(
        name: String,
        settings: Settings,
    ): Classifier {
        val file = models.file(name)
        val description = models.describe(name, file)
        return trial.of(settings.accelerator) {
            val engine = LiteRtEngine(file, description, settings.accelerator, settings.threads)
            try {
                Classifier(engine, description).apply { warmUp() }
            } catch (error: EngineException) {
                engine.close()
                throw error
            }
        }
    }
}
