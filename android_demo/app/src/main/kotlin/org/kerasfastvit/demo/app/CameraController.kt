package org.kerasfastvit.demo.app

import android.hardware.camera2.CameraAccessException
import android.hardware.camera2.CameraManager
import android.os.Handler
import android.view.Surface
import android.view.TextureView
import org.kerasfastvit.demo.core.CameraState
import org.kerasfastvit.demo.core.ScreenEvent
import org.kerasfastvit.demo.core.ScreenState

/** Opens and closes the camera as the screen's state asks for it. On the main thread. */
class CameraController(
    private val manager: CameraManager,
    private val view: TextureView,
    private val inference: Inference,
    private val handler: Handler,
    private val answer: (ScreenEvent) -> Unit,
) {
    private val preview = Preview(view)
    private var choice: CameraChoice? = null
    private var stream: CameraStream? = null
    private var frames: FrameReader? = null
    private var surface: Surface? = null
    private var shining = false
    private var hasSurface = false

    /** Does what the state asks for; to be called after every event. */
    fun follow(state: ScreenState) {
        val another = choice?.facing != state.settings.facing
        if (stream != null && (!state.wantsCamera || another)) close(state)
        if (stream == null && state.wantsCamera && hasSurface) open(state)
        if (shining != state.wantsTorch) {
            shining = state.wantsTorch
            stream?.shine(shining)
        }
    }

    /** The view can be drawn on. */
    fun surfaceAvailable(state: ScreenState) {
        hasSurface = true
        follow(state)
    }

    /** The view's surface is gone, and with it what the camera draws on. */
    fun surfaceLost(state: ScreenState) {
        hasSurface = false
        if (stream != null) close(state)
    }

    /** The view has another size, or the display was turned. */
    fun fit() {
        val camera = choice ?: return
        preview.fit(camera)
        inference.orientation = camera.orientation(preview.displayDegrees)
    }

    private fun open(state: ScreenState) {
        val found =
            try {
                CameraChoice.find(manager, state.settings.facing)
            } catch (_: CameraAccessException) {
                answer(ScreenEvent.CameraChanged(CameraState.FAILED))
                return
            } catch (_: IllegalArgumentException) {
                answer(ScreenEvent.CameraChanged(CameraState.FAILED))
                return
            }
        if (found == null) {
            answer(ScreenEvent.CameraChanged(CameraState.MISSING))
            return
        }
        val texture = view.surfaceTexture ?: return
        choice = found
        texture.setDefaultBufferSize(found.size.width, found.size.height)
        fit()
        inference.reset()
        val shown = Surface(texture).also { surface = it }
        val reader =
            FrameReader(found.size, inference.handler, inference::classify, inference::skip)
        frames = reader
        val opened =
            CameraStream(manager, found, listOf(shown, reader.surface), handler) { camera ->
                answer(ScreenEvent.CameraChanged(camera, found.hasTorch))
            }
        stream = opened
        opened.open()
    }

    private fun close(state: ScreenState) {
        stream?.close()
        stream = null
        choice = null
        shining = false
        // On the thread of its frames, so that none is under way.
        frames?.let { reader -> inference.handler.post(reader::close) }
        frames = null
        surface?.release()
        surface = null
        if (state.camera == CameraState.STREAMING || state.camera == CameraState.OPENING) {
            answer(ScreenEvent.CameraChanged(CameraState.CLOSED))
        }
    }
}
