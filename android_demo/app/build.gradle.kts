import java.security.MessageDigest

plugins {
    alias(libs.plugins.android.application)
}

android {
    namespace = "org.kerasfastvit.demo"
    compileSdk =
        libs.versions.compileSdk
            .get()
            .toInt()

    defaultConfig {
        applicationId = "org.kerasfastvit.demo"
        minSdk =
            libs.versions.minSdk
                .get()
                .toInt()
        targetSdk =
            libs.versions.targetSdk
                .get()
                .toInt()
        versionCode = 1
        versionName = "0.1.0"
    }

    androidResources {
        // Mapped into memory, not unpacked.
        noCompress += "tflite"
    }

    buildTypes {
        release {
            isMinifyEnabled = true
            isShrinkResources = true
            proguardFiles(getDefaultProguardFile("proguard-android-optimize.txt"), "rules.pro")
        }
    }

    compileOptions {
        sourceCompatibility = JavaVersion.VERSION_17
        targetCompatibility = JavaVersion.VERSION_17
    }
}

dependencies {
    implementation(project(":core"))
    implementation(libs.litert)
    implementation(libs.litert.gpu)
}

/**
 * Brings the model that the app starts with, and its sidecar.
 *
 * `-Pmodel=M.tflite -Psha256=…` copies a file of yours, with `M.json` beside it, if it is that file;
 * else Fashion-MNIST's is exported, with the Python of `-Ppython=…` or of the project's `.venv`.
 */
abstract class BringModel
    @Inject
    constructor(
        private val execution: ExecOperations,
    ) : DefaultTask() {
        @get:InputFile
        @get:Optional
        abstract val model: RegularFileProperty

        @get:Input
        @get:Optional
        abstract val sha256: Property<String>

        @get:Input
        abstract val python: Property<String>

        @get:Internal
        abstract val repository: DirectoryProperty

        @get:OutputDirectory
        abstract val output: DirectoryProperty

        @TaskAction
        fun bring() {
            val target = output.get().asFile
            target.deleteRecursively()
            target.mkdirs()
            if (model.isPresent) copy(target) else export(target)
        }

        private fun copy(target: File) {
            val file = model.get().asFile
            val sidecar = file.resolveSibling("${file.nameWithoutExtension}.json")
            val digest = MessageDigest.getInstance("SHA-256").digest(file.readBytes())
            val received = digest.joinToString("") { "%02x".format(it) }
            val expected = sha256.orNull
            if (expected != received) {
                throw GradleException("Expected $file with SHA-256 $expected. Received: $received")
            }
            file.copyTo(target.resolve("default.tflite"))
            sidecar.copyTo(target.resolve("default.json"))
        }

        private fun export(target: File) {
            val root = repository.get().asFile
            execution.exec {
                workingDir = root
                commandLine(
                    python.get(),
                    "-m",
                    "conversion.export_tflite",
                    "--model",
                    "fastvit_t8",
                    "--weights",
                    "fashion_mnist",
                    "--quantize",
                    "int8",
                    "--calibration",
                    "demo_images/fashion_mnist",
                    "--output",
                    target.resolve("default.tflite").path,
                )
            }
            // The reports stay out of the app.
            target.listFiles().orEmpty().filter { "_" in it.name.removePrefix("default") }.forEach {
                it.delete()
            }
        }
    }

val bringModel =
    tasks.register<BringModel>("bringModel") {
        val root = rootDir.parentFile
        providers.gradleProperty("model").orNull?.let { model = file(it) }
        sha256 = providers.gradleProperty("sha256")
        python = providers.gradleProperty("python").orElse("$root/.venv/bin/python")
        repository = root
    }

androidComponents {
    onVariants { variant ->
        variant.sources.assets?.addGeneratedSourceDirectory(bringModel, BringModel::output)
    }
}
