package org.kerasfastvit.demo.app

import android.content.Context
import android.graphics.Bitmap
import android.net.Uri
import android.os.Handler
import android.os.HandlerThread
import android.os.Looper
import org.kerasfastvit.demo.core.DescriptionException
import org.kerasfastvit.demo.core.EngineException
import org.kerasfastvit.demo.core.Orientation
import org.kerasfastvit.demo.core.ScreenEvent
import org.kerasfastvit.demo.core.Settings
import org.kerasfastvit.demo.core.Source
import org.kerasfastvit.demo.core.YuvFrame
import java.io.IOException

/**
 * The thread that loads models and runs them. Nothing else touches the model.
 *
 * Answers come as events on the main thread; after [close] none.
 */
class Inference(
    context: Context,
    private val answer: (ScreenEvent) -> Unit,
) : AutoCloseable {
    private val models = ModelStore(context)
    private val pictures = PictureReader(context.contentResolver)
    private val thread = HandlerThread("inference").apply { start() }
    private val main = Handler(Looper.getMainLooper())
    private var classifier: Classifier? = null
    private var name = ""

    @Volatile private var closed = false

    /** Of this thread, for the camera's frames. */
    val handler = Handler(thread.looper)

    /** How the camera's frames lie. */
    @Volatile var orientation = Orientation.UPRIGHT

    /** Loads a model and runs it once; the one before is closed. */
    fun load(
        name: String,
        settings: Settings,
    ) = handler.post {
        classifier?.close()
        classifier = null
        this.name = name
        guarded {
            val file = models.file(name)
            val description = models.describe(name, file)
            val engine = LiteRtEngine(file, description, settings.accelerator, settings.threads)
            classifier = Classifier(engine, description)
            post(ScreenEvent.ModelLoaded(name, description, engine.accelerator))
        }
    }

    /** Takes a picked file into the store and asks for it, or says why it is [refused]. */
    fun import(
        source: Uri,
        displayName: String,
        refused: (String) -> Unit,
    ) = handler.post {
        val reason =
            try {
                post(ScreenEvent.ModelAsked(models.import(source, displayName)))
                return@post
            } catch (error: DescriptionException) {
                error.message
            } catch (error: IOException) {
                error.message
            } catch (error: SecurityException) {
                error.message
            }
        main.post { if (!closed) refused(reason ?: displayName) }
    }

    /** Classifies a frame, on this thread. */
    fun classify(
        frame: YuvFrame,
        nanoseconds: Long,
    ) {
        guarded {
            val results = classifier?.classify(frame, orientation, nanoseconds) ?: return
            post(ScreenEvent.Classified(Source.Camera, results))
        }
    }

    /** Reads and classifies a picture, and gives it to [shown] on the main thread. */
    fun classify(
        source: Uri,
        shown: (Bitmap) -> Unit,
    ) = handler.post {
        try {
            val picture = pictures.read(source)
            main.post { if (!closed) shown(picture) }
            guarded {
                val classifier = classifier ?: return@guarded
                val results = classifier.classify(PictureReader.pixels(picture))
                post(ScreenEvent.Classified(Source.Picture(source.toString()), results))
            }
        } catch (_: IOException) {
            post(ScreenEvent.PictureUnreadable)
        }
    }

    /** Gives the latencies as text to [shown] on the main thread. */
    fun latencies(
        text: LatencyText,
        shown: (String) -> Unit,
    ) = handler.post {
        val line = classifier?.let { text.of(it.latencies) } ?: return@post
        main.post { if (!closed) shown(line) }
    }

    /** Forgets what was seen: another camera or another source. */
    fun reset() = handler.post { classifier?.reset() }

    override fun close() {
        closed = true
        handler.post {
            classifier?.close()
            classifier = null
            thread.quitSafely()
        }
    }

    /** A model that cannot be read, loaded or run becomes an event, which names it. */
    private inline fun guarded(call: () -> Unit) {
        try {
            call()
        } catch (error: EngineException) {
            fail(error)
        } catch (error: DescriptionException) {
            fail(error)
        } catch (error: IOException) {
            fail(error)
        } catch (error: SecurityException) {
            fail(error)
        }
    }

    private fun fail(error: Exception) {
        classifier?.close()
        classifier = null
        post(ScreenEvent.ModelFailed(name, error.message ?: error.javaClass.simpleName))
    }

    private fun post(event: ScreenEvent) {
        main.post { if (!closed) answer(event) }
    }
}
