package org.kerasfastvit.demo.app

import android.content.Context
import android.graphics.Bitmap
import android.net.Uri
import android.os.Handler
import android.os.HandlerThread
import android.os.Looper
import org.kerasfastvit.demo.core.EngineException
import org.kerasfastvit.demo.core.ModelState
import org.kerasfastvit.demo.core.Orientation
import org.kerasfastvit.demo.core.ScreenEvent
import org.kerasfastvit.demo.core.Settings
import org.kerasfastvit.demo.core.Source
import org.kerasfastvit.demo.core.YuvFrame
import java.io.IOException

/** The thread that loads models and runs them. Nothing else touches the model. */
class Inference(
    context: Context,
) : AutoCloseable {
    /** Who is told, on the main thread. */
    interface Listener {
        fun happened(event: ScreenEvent)

        /** The picked picture has been read. */
        fun read(picture: Bitmap)

        /** A file was not imported; [reason] in a developer's words. */
        fun refused(reason: String)
    }

    /** To be set and read on the main thread; null where nobody listens any more. */
    var listener: Listener? = null

    private val models = ModelStore(context)
    private val pictures = PictureReader(context.contentResolver)
    private val loader = ModelLoader(context)
    private val thread = HandlerThread("inference").apply { start() }
    private val main = Handler(Looper.getMainLooper())
    private var classifier: Classifier? = null
    private var request = 0
    private var accelerator = Settings().accelerator

    /** Of this thread, for the camera's frames. */
    val handler = Handler(thread.looper)

    /** How the camera's frames lie. */
    @Volatile var orientation = Orientation.UPRIGHT

    /** Loads a model and runs it once; the one before is closed. */
    fun load(
        model: ModelState.Loading,
        settings: Settings,
    ) = handler.post {
        classifier?.close()
        classifier = null
        request = model.request
        accelerator = settings.accelerator
        guarded {
            val loaded = loader.load(model.name, settings)
            classifier = loaded
            tell(ScreenEvent.ModelLoaded(request, loaded.description, loaded.accelerator))
        }
    }

    /** Takes a picked file into the store and asks for it, or says why it is refused. */
    fun import(source: Uri) =
        handler.post {
            try {
                tell(ScreenEvent.ModelAsked(models.import(source)))
            } catch (error: IOException) {
                tell { refused(error.toString()) }
            } catch (error: RuntimeException) {
                // The description's faults; and whatever another app's provider throws.
                tell { refused(error.message ?: error.toString()) }
            }
        }

    /** Classifies a frame, on this thread. */
    fun classify(
        frame: YuvFrame,
        nanoseconds: Long,
    ) {
        guarded {
            val results = classifier?.classify(frame, orientation, nanoseconds) ?: return
            tell(ScreenEvent.Classified(request, Source.Camera, results))
        }
    }

    /** A frame was skipped. */
    fun skip() = tell(ScreenEvent.FrameUnreadable)

    /** Reads, shows and classifies a picture. */
    fun classify(source: Uri) =
        handler.post {
            val name = source.toString()
            try {
                val picture = pictures.read(source)
                tell { read(picture) }
                guarded {
                    val results = classifier?.classify(PictureReader.pixels(picture))
                    if (results != null) {
                        tell(ScreenEvent.Classified(request, Source.Picture(name), results))
                    }
                }
            } catch (_: IOException) {
                tell(ScreenEvent.PictureUnreadable(name))
            }
        }

    /** Gives the latencies as text to [shown] on the main thread. */
    fun latencies(
        text: LatencyText,
        shown: (String) -> Unit,
    ) = handler.post {
        val lines = classifier?.let { text.of(it.latencies) }.orEmpty()
        main.post { shown(lines) }
    }

    /** Forgets what was seen: another camera or another source. */
    fun reset() = handler.post { classifier?.reset() }

    /** To be called on the main thread; nobody is told anything any more. */
    override fun close() {
        listener = null
        handler.post {
            classifier?.close()
            classifier = null
            thread.quitSafely()
        }
    }

    /** A model that cannot be read, loaded or run becomes an event. */
    private inline fun guarded(call: () -> Unit) {
        try {
            call()
        } catch (error: EngineException) {
            fail(error, refusedBy = true)
        } catch (error: IllegalArgumentException) {
            // The description's faults among them.
            fail(error)
        } catch (error: IOException) {
            fail(error)
        }
    }

    private fun fail(
        error: Exception,
        refusedBy: Boolean = false,
    ) {
        classifier?.close()
        classifier = null
        val reason = error.message ?: error.toString()
        tell(ScreenEvent.ModelFailed(request, reason, accelerator.takeIf { refusedBy }))
    }

    private fun tell(event: ScreenEvent) = tell { happened(event) }

    private fun tell(what: Listener.() -> Unit) {
        main.post { listener?.what() }
    }
}
