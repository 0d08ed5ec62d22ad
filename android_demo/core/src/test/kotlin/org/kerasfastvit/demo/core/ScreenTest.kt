package org.kerasfastvit.demo.core

import kotlin.random.Random
import kotlin.test.Test
import kotlin.test.assertEquals
import kotlin.test.assertFalse
import kotlin.test.assertNull
import kotlin.test.assertTrue

class ScreenTest {
    private val description = Sidecar.parse(SIDECAR.toByteArray())
    private val best =
        listOf(Result(0, "cat", 0.7f), Result(1, "dog", 0.2f), Result(2, "fox", 0.1f))

    private fun after(vararg events: ScreenEvent) = events.fold(ScreenState(), ScreenState::after)

    private fun running(vararg more: ScreenEvent) =
        after(
            ScreenEvent.Shown,
            ScreenEvent.PermissionAnswered(Permission.GRANTED),
            ScreenEvent.ModelAsked("a"),
            ScreenEvent.ModelLoaded("a", description, Accelerator.CPU),
            ScreenEvent.CameraChanged(CameraState.STREAMING, torchAvailable = true),
            *more,
        )

    @Test
    fun `all is well when it runs`() {
        val state = running(ScreenEvent.Classified(Source.Camera, best))
        assertTrue(state.wantsCamera)
        assertNull(state.message)
        assertEquals(Accelerator.CPU, state.accelerator)
        assertEquals(best, state.results)
    }

    @Test
    fun `the camera is open only in front, permitted, and wanted`() {
        assertFalse(running(ScreenEvent.Hidden).wantsCamera)
        assertFalse(running(ScreenEvent.PauseToggled).wantsCamera)
        assertTrue(running(ScreenEvent.PauseToggled, ScreenEvent.PauseToggled).wantsCamera)
        assertFalse(running(ScreenEvent.PicturePicked("p")).wantsCamera)
        assertTrue(running(ScreenEvent.PicturePicked("p"), ScreenEvent.CameraWanted).wantsCamera)
        assertFalse(running(ScreenEvent.PermissionAnswered(Permission.REFUSED)).wantsCamera)
        assertFalse(after(ScreenEvent.Shown).wantsCamera)
    }

    @Test
    fun `every obstacle has its message and a way on`() {
        val cases =
            mapOf(
                Message.PERMISSION_REFUSED to ScreenEvent.PermissionAnswered(Permission.REFUSED),
                Message.PERMISSION_REFUSED_FOR_GOOD to
                    ScreenEvent.PermissionAnswered(Permission.REFUSED_FOR_GOOD),
                Message.NO_CAMERA to ScreenEvent.CameraChanged(CameraState.MISSING),
                Message.CAMERA_TAKEN to ScreenEvent.CameraChanged(CameraState.TAKEN),
                Message.CAMERA_FAILED to ScreenEvent.CameraChanged(CameraState.FAILED),
                Message.MODEL_UNUSABLE to ScreenEvent.ModelFailed("a", "corrupt"),
            )
        for ((message, event) in cases) assertEquals(message, running(event).message)
        for (message in Message.entries) assertTrue(message.waysOn.isNotEmpty(), "$message")
        assertEquals(Message.NO_MODEL, after(ScreenEvent.Shown).message)
        val unreadable = running(ScreenEvent.PicturePicked("p"), ScreenEvent.PictureUnreadable)
        assertEquals(Message.PICTURE_UNREADABLE, unreadable.message)
        assertNull(unreadable.after(ScreenEvent.PicturePicked("q")).message)
    }

    @Test
    fun `a camera that another app has is left alone until the user or a return says so`() {
        val taken = running(ScreenEvent.CameraChanged(CameraState.TAKEN))
        assertFalse(taken.wantsCamera)
        assertTrue(taken.after(ScreenEvent.CameraRetried).wantsCamera)
        assertTrue(taken.after(ScreenEvent.Hidden).after(ScreenEvent.Shown).wantsCamera)
        assertNull(taken.after(ScreenEvent.CameraRetried).message)
    }

    @Test
    fun `a device without a back camera shows the front one`() {
        val state =
            running(ScreenEvent.CameraChanged(CameraState.MISSING), ScreenEvent.CameraSwitched)
        assertEquals(Facing.FRONT, state.settings.facing)
        assertTrue(state.wantsCamera)
    }

    @Test
    fun `what is used is what was loaded, not what was asked for`() {
        val asked = running(ScreenEvent.AcceleratorAsked(Accelerator.GPU))
        assertEquals(ModelState.Loading("a"), asked.model)
        assertNull(asked.accelerator)
        val fallen = asked.after(ScreenEvent.ModelLoaded("a", description, Accelerator.CPU))
        assertEquals(Accelerator.CPU, fallen.accelerator)
        assertEquals(Accelerator.GPU, fallen.settings.accelerator)
        assertEquals(Message.OTHER_ACCELERATOR, fallen.message)
        val refused = asked.after(ScreenEvent.ModelFailed("a", "no delegate"))
        assertEquals(Message.GPU_REFUSED, refused.message)
        val onCpu = refused.after(ScreenEvent.AcceleratorAsked(Accelerator.CPU))
        assertEquals(ModelState.Loading("a"), onCpu.model)
    }

    @Test
    fun `late answers change nothing`() {
        val other = running(ScreenEvent.ModelAsked("b"))
        assertEquals(other, other.after(ScreenEvent.ModelLoaded("a", description, Accelerator.CPU)))
        assertEquals(other, other.after(ScreenEvent.ModelFailed("a", "closed")))
        assertEquals(other, other.after(ScreenEvent.Classified(Source.Camera, best)))
        val picture = running(ScreenEvent.PicturePicked("p"))
        assertEquals(picture, picture.after(ScreenEvent.Classified(Source.Camera, best)))
        val paused = running(ScreenEvent.PauseToggled)
        assertEquals(paused, paused.after(ScreenEvent.Classified(Source.Camera, best)))
        val live = running()
        assertEquals(live, live.after(ScreenEvent.PictureUnreadable))
    }

    @Test
    fun `a threshold and a number of results hold at once, and for what comes`() {
        val shown = running(ScreenEvent.Classified(Source.Camera, best))
        assertEquals(best.take(2), shown.after(ScreenEvent.ThresholdAsked(0.15f)).results)
        assertEquals(best.take(1), shown.after(ScreenEvent.ResultsAsked(1)).results)
        val strict = running(ScreenEvent.ThresholdAsked(0.5f))
        val next = strict.after(ScreenEvent.Classified(Source.Camera, best))
        assertEquals(best.take(1), next.results)
    }

    @Test
    fun `numbers from outside are brought into their ranges`() {
        val wild = Settings(threads = -3, results = 999, threshold = Float.NaN)
        val settings = after(ScreenEvent.SettingsRead(wild)).settings
        assertEquals(Settings(threads = 1, results = 10, threshold = 0f), settings)
        assertEquals(1f, running(ScreenEvent.ThresholdAsked(7f)).settings.threshold)
        assertEquals(8, running(ScreenEvent.ThreadsAsked(64)).settings.threads)
    }

    @Test
    fun `the model is loaded anew only where that changes something`() {
        assertEquals(ModelState.Loading("a"), running(ScreenEvent.ThreadsAsked(4)).model)
        assertEquals(running().model, running(ScreenEvent.ThreadsAsked(2)).model)
        assertEquals(running().model, running(ScreenEvent.ResultsAsked(5)).model)
    }

    @Test
    fun `the torch shines only on a streaming camera that has one`() {
        val lit = running(ScreenEvent.TorchToggled)
        assertTrue(lit.wantsTorch)
        assertFalse(lit.after(ScreenEvent.TorchToggled).wantsTorch)
        val darkening =
            listOf(
                ScreenEvent.Hidden,
                ScreenEvent.PauseToggled,
                ScreenEvent.CameraSwitched,
                ScreenEvent.PicturePicked("p"),
                ScreenEvent.CameraChanged(CameraState.CLOSED),
            )
        for (event in darkening) assertFalse(lit.after(event).wantsTorch, "$event")
        val without = running(ScreenEvent.CameraChanged(CameraState.STREAMING))
        assertFalse(without.after(ScreenEvent.TorchToggled).wantsTorch)
    }

    @Test
    fun `after any events the state makes sense`() {
        val random = Random(12)
        val events =
            listOf(
                ScreenEvent.Shown,
                ScreenEvent.Hidden,
                ScreenEvent.CameraRetried,
                ScreenEvent.CameraSwitched,
                ScreenEvent.PauseToggled,
                ScreenEvent.TorchToggled,
                ScreenEvent.PicturePicked("p"),
                ScreenEvent.PictureUnreadable,
                ScreenEvent.CameraWanted,
                ScreenEvent.ModelAsked("a"),
                ScreenEvent.ModelAsked("b"),
                ScreenEvent.ModelLoaded("a", description, Accelerator.CPU),
                ScreenEvent.ModelFailed("b", "corrupt"),
                ScreenEvent.ThreadsAsked(5),
                ScreenEvent.AcceleratorAsked(Accelerator.GPU),
                ScreenEvent.ResultsAsked(2),
                ScreenEvent.ThresholdAsked(0.15f),
                ScreenEvent.Classified(Source.Camera, best),
            ) + Permission.entries.map { ScreenEvent.PermissionAnswered(it) } +
                CameraState.entries.map { ScreenEvent.CameraChanged(it, torchAvailable = true) }
        var state = ScreenState()
        repeat(20_000) {
            state = state.after(events.random(random))
            if (state.wantsTorch) assertEquals(CameraState.STREAMING, state.camera)
            if (state.results.isNotEmpty()) assertTrue(state.model is ModelState.Ready, "$state")
            assertTrue(state.results.size <= state.settings.results)
            assertTrue(state.results.all { it.score >= state.settings.threshold })
            assertFalse(state.wantsCamera && !state.visible)
            assertFalse(state.wantsCamera && state.permission != Permission.GRANTED)
            // Never a blank screen: it runs, it is under way, or it says what is in the way.
            val stuck = state.visible && !state.wantsCamera && state.source == Source.Camera
            val asking = state.permission == Permission.UNKNOWN
            assertTrue(!stuck || state.paused || asking || state.message != null, "$state")
        }
    }
}
