package org.kerasfastvit.demo.app

import android.content.Context
import android.graphics.Bitmap
import org.kerasfastvit.demo.core.ScreenState

/**
 * What goes from an activity to the one that replaces it when the system's language, theme or fonts
 * change: the loaded model, the screen's state and the picture. On the main thread.
 */
class Session(
    context: Context,
) : AutoCloseable {
    val inference = Inference(context)
    var state = ScreenState()

    /** The picked picture, once it is read. */
    var picture: Bitmap? = null

    override fun close() = inference.close()
}
