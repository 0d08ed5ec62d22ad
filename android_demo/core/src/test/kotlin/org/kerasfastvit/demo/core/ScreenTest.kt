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
            ScreenEvent.ModelLoaded(1, description, Accelerator.CPU),
            ScreenEvent.CameraChanged(CameraState.STREAMING, torchAvailable = true),
            *more,
        )

    @Test
    fun `all is well when it runs`() {
        val state = running(ScreenEvent.Classified(1, Source.Camera, best))
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
    fun `every failure has its message and a way on`() {
        val cases =
            mapOf(
                Message.PERMISSION_REFUSED to
                    running(ScreenEvent.PermissionAnswered(Permission.REFUSED)),
                Message.PERMISSION_REFUSED_FOR_GOOD to
                    running(ScreenEvent.PermissionAnswered(Permission.REFUSED_FOR_GOOD)),
                Message.NO_CAMERA to running(ScreenEvent.CameraChanged(CameraState.MISSING)),
                Message.CAMERA_TAKEN to running(ScreenEvent.CameraChanged(CameraState.TAKEN)),
                Message.CAMERA_FAILED to running(ScreenEvent.CameraChanged(CameraState.FAILED)),
                Message.FRAME_UNREADABLE to running(ScreenEvent.FrameUnreadable),
                Message.PICTURE_UNREADABLE to
                    running(ScreenEvent.PicturePicked("p"), ScreenEvent.PictureUnreadable("p")),
                Message.NO_MODEL to after(ScreenEvent.Shown),
                Message.MODEL_UNUSABLE to running(ScreenEvent.ModelFailed(1, "corrupt")),
                Message.GPU_REFUSED to
                    running(
                        ScreenEvent.AcceleratorAsked(Accelerator.GPU),
                        ScreenEvent.ModelFailed(2, "no kernel", Accelerator.GPU),
                    ),
                Message.OTHER_ACCELERATOR to
                    running(
                        ScreenEvent.AcceleratorAsked(Accelerator.GPU),
                        ScreenEvent.ModelLoaded(2, description, Accelerator.CPU),
                    ),
            )
        assertEquals(Message.entries.toSet(), cases.keys)
        for ((message, state) in cases) {
            assertEquals(message, state.message, "$state")
            assertTrue(message.waysOn.isNotEmpty(), "$message")
        }
    }

    /** What the app does for a way on, in events, where no other app or page answers first. */
    private fun ScreenState.goingOn(way: WayOn): ScreenState =
        when (way) {
            WayOn.ASK_PERMISSION -> after(ScreenEvent.PermissionAnswered(Permission.GRANTED))
            WayOn.OPEN_SYSTEM_SETTINGS -> after(ScreenEvent.PermissionAnswered(Permission.GRANTED))
            WayOn.SWITCH_CAMERA -> after(ScreenEvent.CameraSwitched)
            WayOn.RETRY_CAMERA -> after(ScreenEvent.CameraRetried)
            WayOn.PICK_PICTURE -> after(ScreenEvent.PicturePicked("q"))
            WayOn.BACK_TO_CAMERA -> after(ScreenEvent.CameraWanted)
            WayOn.CHOOSE_MODEL -> after(ScreenEvent.ModelAsked("b"))
            WayOn.MODEL_INFORMATION -> this
            WayOn.USE_CPU -> after(ScreenEvent.AcceleratorAsked(Accelerator.CPU))
        }

    @Test
    fun `each way on leads out of where it is offered`() {
        val failures =
            listOf(
                ScreenEvent.PermissionAnswered(Permission.REFUSED),
                ScreenEvent.PermissionAnswered(Permission.REFUSED_FOR_GOOD),
                ScreenEvent.CameraChanged(CameraState.MISSING),
                ScreenEvent.CameraChanged(CameraState.TAKEN),
                ScreenEvent.CameraChanged(CameraState.FAILED),
                ScreenEvent.FrameUnreadable,
                ScreenEvent.ModelFailed(2, "no kernel", Accelerator.GPU),
                ScreenEvent.ModelFailed(2, "corrupt"),
                ScreenEvent.ModelLoaded(2, description, Accelerator.CPU),
            )
        for (failure in failures) {
            val loading = failure is ScreenEvent.ModelFailed || failure is ScreenEvent.ModelLoaded
            val ground =
                if (loading) {
                    running(
                        ScreenEvent.AcceleratorAsked(Accelerator.GPU),
                    )
                } else {
                    running()
                }
            val state = ground.after(failure)
            for (way in state.message!!.waysOn.filter { it != WayOn.MODEL_INFORMATION }) {
                assertNull(state.goingOn(way).message, "$failure: $way")
            }
        }
        val unreadable = running(ScreenEvent.PicturePicked("p"), ScreenEvent.PictureUnreadable("p"))
        for (way in unreadable.message!!.waysOn) assertNull(unreadable.goingOn(way).message)
    }

    @Test
    fun `a file at fault is not laid at the GPU's door`() {
        val asked = running(ScreenEvent.AcceleratorAsked(Accelerator.GPU))
        assertEquals(
            Message.MODEL_UNUSABLE,
            asked.after(ScreenEvent.ModelFailed(2, "damaged")).message,
        )
    }

    @Test
    fun `frames that cannot be read are said until one can`() {
        val bad = running(ScreenEvent.FrameUnreadable)
        assertTrue(bad.wantsCamera)
        assertNull(bad.after(ScreenEvent.Classified(1, Source.Camera, best)).message)
        assertNull(bad.after(ScreenEvent.CameraSwitched).message)
        val closed = running(ScreenEvent.CameraChanged(CameraState.CLOSED))
        assertEquals(closed, closed.after(ScreenEvent.FrameUnreadable))
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
        assertEquals(ModelState.Loading("a", 2), asked.model)
        assertNull(asked.accelerator)
        val fallen = asked.after(ScreenEvent.ModelLoaded(2, description, Accelerator.CPU))
        assertEquals(Accelerator.CPU, fallen.accelerator)
        assertEquals(Accelerator.GPU, fallen.settings.accelerator)
        assertEquals(Message.OTHER_ACCELERATOR, fallen.message)
        val refused = asked.after(ScreenEvent.ModelFailed(2, "no delegate", Accelerator.GPU))
        assertEquals(Message.GPU_REFUSED, refused.message)
        val onCpu = refused.after(ScreenEvent.AcceleratorAsked(Accelerator.CPU))
        assertEquals(ModelState.Loading("a", 3), onCpu.model)
    }

    @Test
    fun `of two requests for one model, the last one's answer counts`() {
        val twice =
            running(
                ScreenEvent.AcceleratorAsked(Accelerator.GPU),
                ScreenEvent.AcceleratorAsked(Accelerator.CPU),
            )
        val first = twice.after(ScreenEvent.ModelLoaded(2, description, Accelerator.GPU))
        assertEquals(twice, first)
        assertEquals(twice, twice.after(ScreenEvent.ModelFailed(2, "no", Accelerator.GPU)))
        val second = first.after(ScreenEvent.ModelLoaded(3, description, Accelerator.CPU))
        assertEquals(Accelerator.CPU, second.accelerator)
        assertNull(second.message)
    }

    @Test
    fun `late answers change nothing`() {
        val other = running(ScreenEvent.ModelAsked("b"))
        assertEquals(other, other.after(ScreenEvent.ModelLoaded(1, description, Accelerator.CPU)))
        assertEquals(other, other.after(ScreenEvent.ModelFailed(1, "closed")))
        assertEquals(other, other.after(ScreenEvent.Classified(1, Source.Camera, best)))
        val ready = other.after(ScreenEvent.ModelLoaded(2, description, Accelerator.CPU))
        assertEquals(ready, ready.after(ScreenEvent.Classified(1, Source.Camera, best)))
        val picture = running(ScreenEvent.PicturePicked("p"))
        assertEquals(picture, picture.after(ScreenEvent.Classified(1, Source.Camera, best)))
        val paused = running(ScreenEvent.PauseToggled)
        assertEquals(paused, paused.after(ScreenEvent.Classified(1, Source.Camera, best)))
        val another = running(ScreenEvent.PicturePicked("q"))
        assertEquals(another, another.after(ScreenEvent.PictureUnreadable("p")))
        val live = running()
        assertEquals(live, live.after(ScreenEvent.PictureUnreadable("p")))
    }

    @Test
    fun `a threshold and a number of results hold at once, and for what comes`() {
        val shown = running(ScreenEvent.Classified(1, Source.Camera, best))
        assertEquals(best.take(2), shown.after(ScreenEvent.ThresholdAsked(0.15f)).results)
        assertEquals(best.take(1), shown.after(ScreenEvent.ResultsAsked(1)).results)
        val strict = running(ScreenEvent.ThresholdAsked(0.5f))
        val next = strict.after(ScreenEvent.Classified(1, Source.Camera, best))
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
        assertEquals(ModelState.Loading("a", 2), running(ScreenEvent.ThreadsAsked(4)).model)
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
                ScreenEvent.PictureUnreadable("p"),
                ScreenEvent.CameraWanted,
                ScreenEvent.ModelAsked("a"),
                ScreenEvent.ModelAsked("b"),
                ScreenEvent.FrameUnreadable,
                ScreenEvent.ThreadsAsked(5),
                ScreenEvent.AcceleratorAsked(Accelerator.GPU),
                ScreenEvent.ResultsAsked(2),
                ScreenEvent.ThresholdAsked(0.15f),
            ) + Permission.entries.map { ScreenEvent.PermissionAnswered(it) } +
                CameraState.entries.map { ScreenEvent.CameraChanged(it, torchAvailable = true) }
        var state = ScreenState()
        repeat(20_000) {
            // Of answers, most to the last request, some too late.
            val request = state.request - random.nextInt(8) / 7
            val answers =
                listOf(
                    ScreenEvent.ModelLoaded(
                        request,
                        description,
                        Accelerator.entries.random(random),
                    ),
                    ScreenEvent.ModelFailed(request, "corrupt"),
                    ScreenEvent.ModelFailed(request, "no kernel", Accelerator.GPU),
                    ScreenEvent.Classified(request, Source.Camera, best),
                    ScreenEvent.Classified(request, Source.Picture("p"), best),
                )
            state = state.after((events + answers).random(random))
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
